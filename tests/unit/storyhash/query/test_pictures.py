"""Pictures of a file, of a folder of pictures, of a query's clips and of thumbnails, read in a child
process."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import VideoError
from common.settings import VideoSettings
from common.spool import SegmentSpool
from common.thumbnails import Thumbnail
from common.types import FrameBatch, Segment, SegmentRef, UInt8Array
from common.video import encode_video
from common.video.clip import encode_clip
from searcher.storage.thumbnails import ThumbnailStore, VideoThumbnails
from storyhash.query.pictures import ClipPictures, PictureReader


def level(number: int) -> UInt8Array:
    """A grey picture; its level tells its number."""
    return np.full((96, 128, 3), 40 + 10 * number, np.uint8)


def nothing() -> None:
    """Time is never over."""


def numbers(pictures: Iterator[UInt8Array]) -> list[int]:
    return [round((float(one.mean()) - 40) / 10) for one in pictures]


@pytest.fixture(scope="module")
def reader() -> Iterator[PictureReader]:
    with PictureReader(VideoSettings()) as opened:
        yield opened


@pytest.mark.usefixtures("own_interpreters")
def test_of_a_file_and_of_a_folder_and_small(reader: PictureReader, tmp_path: Path) -> None:
    encode_video(tmp_path / "film.mp4", map(level, range(20)), 4.0)
    film = reader.of_uri(str(tmp_path / "film.mp4"))
    assert film is not None
    # Near times, a far one, and one after the end.
    assert numbers(film.at([0.0, 0.25, 0.3, 4.0, 99.0], 96, nothing)) == [0, 1, 2, 16, 19]
    (small,) = film.at([1.0], 48, nothing)
    assert small.shape == (48, 64, 3)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(20):
        cv2.imwrite(str(folder / f"{number:05}.png"), level(number))
    frames = reader.of_uri(str(folder))
    assert frames is not None
    assert numbers(frames.at([0.0, 0.5, 9.0], 96, nothing)) == [0, 12, 19]


def test_of_the_clips_of_a_query(reader: PictureReader) -> None:
    with SegmentSpool() as spool:
        for start in (0, 4):
            frames = np.stack([level(start + step) for step in range(4)])
            batch = FrameBatch(frames, start + np.arange(4.0))
            clip = encode_clip(batch, start_seconds=start, max_bytes=1 << 20)
            spool.add(Segment(SegmentRef("q", start, start + 4.0), clip))
        pictures = ClipPictures(reader, spool)
        assert numbers(pictures.at([1.1, 3.0, 4.2, 6.8, 9.0], 96, nothing)) == [1, 3, 4, 7, 7]


def thumbnail(seconds: float, picture: UInt8Array) -> Thumbnail:
    """As the embedder makes it, but as like the picture as can be."""
    done, webp = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 100])
    assert done
    return Thumbnail(seconds, webp.tobytes())


def stored(folder: Path, *pictures: Thumbnail) -> VideoThumbnails:
    store = ThumbnailStore(folder)
    writer = store.begin("film")
    writer.add(pictures)
    writer.finish()
    found = store.of("film")
    assert found is not None
    return found


def test_of_thumbnails(reader: PictureReader, tmp_path: Path) -> None:
    kept = stored(tmp_path, *(thumbnail(number / 2, level(number)) for number in range(4)))
    pictures = reader.of_thumbnails(kept)
    first, again, *others = pictures.at([0.1, 0.2, 0.6, 1.9], 96, nothing)
    assert numbers(iter([first, again, *others])) == [0, 0, 1, 3]
    # Moments that share a thumbnail share its picture, whose keypoints are then found once.
    assert first is again


def test_a_thumbnail_has_the_size_and_the_colours_of_a_picture_of_the_file(
    reader: PictureReader, tmp_path: Path
) -> None:
    red = np.zeros((96, 128, 3), np.uint8)
    red[..., 0] = 200
    kept = stored(tmp_path, thumbnail(0.0, red))
    for side in (240, 48):
        (picture,) = reader.of_thumbnails(kept).at([0.0], side, nothing)
        assert picture.shape == (side, side * 4 // 3, 3)
        assert picture.mean(axis=(0, 1)).round() == pytest.approx([200, 0, 0], abs=4)


def test_a_damaged_thumbnail_is_an_error_of_its_video(
    reader: PictureReader, tmp_path: Path
) -> None:
    pictures = reader.of_thumbnails(stored(tmp_path, Thumbnail(0.0, b"RIFF....WEBP no picture")))
    with pytest.raises(VideoError, match="damaged"):
        list(pictures.at([0.0], 96, nothing))


def test_what_is_not_here_or_no_video(reader: PictureReader, tmp_path: Path) -> None:
    assert reader.of_uri("https://example.org/film.mp4") is None
    assert reader.of_uri(str(tmp_path / "gone.mp4")) is None
    # The system refuses such a name, as it refuses a path in a folder of somebody else.
    assert reader.of_uri(f"/{'x' * 300}/a.mp4") is None
    (tmp_path / "text.mp4").write_text("no video")
    text = reader.of_uri(str(tmp_path / "text.mp4"))
    assert text is not None
    with pytest.raises(VideoError):
        list(text.at([0.0], 96, nothing))
