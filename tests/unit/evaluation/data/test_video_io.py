"""Films read at a fixed rate by time, and written back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import VideoError, VideoLimitError
from common.settings import VideoSettings
from common.types import FrameBatch, UInt8Array
from common.video import Decoder, encode_clip, encode_video
from evaluation.data import video_io as films
from evaluation.data.video_io import read_film, write_film
from evaluation.transforms.base import Film, TransformResult
from tests.conftest import quadrants

STEP = 4


def greys(count: int, width: int = 64, height: int = 48) -> list[UInt8Array]:
    """Frame k has the grey level 20 + 4 k, so a frame can be told after encoding."""
    return [np.full((height, width, 3), 20 + STEP * k, dtype=np.uint8) for k in range(count)]


def shown(film: Film) -> list[int]:
    """Which of `greys` every frame is."""
    levels = film.frames.reshape(len(film.frames), -1).mean(axis=1)
    return np.round((levels - 20) / STEP).astype(int).tolist()


def picture_folder(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(greys(count)):
        cv2.imwrite(str(folder / f"{number:05}.png"), frame)
    return folder


@pytest.mark.parametrize("rate", [24, 30, 50])
def test_a_frame_is_the_latest_one_shown_at_its_time(tmp_path: Path, rate: int) -> None:
    encode_video(tmp_path / "film.mp4", greys(50), rate)
    film = read_film(tmp_path / "film.mp4")
    assert film.frames_per_second == 16
    assert len(film.frames) == round(50 / rate * 16)
    assert shown(film) == [k * rate // 16 for k in range(len(film.frames))]


def test_a_slower_film_keeps_its_own_rate(tmp_path: Path) -> None:
    encode_video(tmp_path / "film.mp4", greys(10), 8)
    film = read_film(tmp_path / "film.mp4")
    assert film.frames_per_second == 8
    assert shown(film) == list(range(10))


def test_a_frame_that_stays_long_is_repeated(tmp_path: Path) -> None:
    pts = np.array([0.0, 0.05, 0.1, 0.15, 1.0, 1.05])
    clip = encode_clip(
        FrameBatch(np.stack(greys(41)[::8]), pts), start_seconds=0, max_bytes=1 << 20
    )
    (tmp_path / "film.mp4").write_bytes(clip)
    film = read_film(tmp_path / "film.mp4", frames_per_second=4)
    assert shown(film)[:5] == [0, 24, 24, 24, 32]


def test_only_the_first_seconds_are_read(tmp_path: Path) -> None:
    encode_video(tmp_path / "film.mp4", greys(50), 16)
    film = read_film(tmp_path / "film.mp4", max_seconds=1.5)
    assert shown(film) == list(range(24))
    assert len(read_film(tmp_path / "film.mp4", max_seconds=0.01).frames) == 1


def test_a_film_of_one_frame_is_one_frame(tmp_path: Path) -> None:
    encode_video(tmp_path / "film.mp4", greys(1), 25)
    assert shown(read_film(tmp_path / "film.mp4")) == [0]


def test_large_films_are_read_smaller(tmp_path: Path) -> None:
    encode_video(tmp_path / "film.mp4", [quadrants(320, 240)] * 3, 16)
    assert read_film(tmp_path / "film.mp4", short_side=120).frames.shape[1:] == (120, 160, 3)


def test_a_folder_of_pictures_is_read_at_24_a_second(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "bear", 48)
    film = read_film(folder)
    assert film.frames_per_second == 16
    assert shown(film) == [k * 3 // 2 for k in range(32)]
    assert shown(read_film(folder, frames_per_second=60)) == list(range(48))
    assert shown(read_film(folder, max_seconds=0.5)) == [k * 3 // 2 for k in range(8)]


def test_what_cannot_be_read_is_a_video_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match="without numbered pictures"):
        read_film(tmp_path / "empty")
    with pytest.raises(VideoError, match="file not found"):
        read_film(tmp_path / "gone.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match="not a readable video"):
        read_film(tmp_path / "text.mp4")
    folder = picture_folder(tmp_path / "bear", 3)
    (folder / "00001.png").write_bytes(b"no picture")
    with pytest.raises(VideoError, match="00001"):
        read_film(folder, frames_per_second=24)


def test_a_film_that_does_not_fit_into_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_video(tmp_path / "film.mp4", greys(50), 16)
    monkeypatch.setattr(films, "_MAX_BYTES", 10 * 64 * 48 * 3)
    with pytest.raises(VideoLimitError, match="first seconds"):
        read_film(tmp_path / "film.mp4")
    assert len(read_film(tmp_path / "film.mp4", max_seconds=0.5).frames) == 8


def test_what_is_written_can_be_read_again(tmp_path: Path) -> None:
    made = TransformResult(Film(np.stack(greys(20)), 10.0), ())
    write_film(tmp_path / "copy.mp4", made)
    film = read_film(tmp_path / "copy.mp4")
    assert film.frames_per_second == pytest.approx(10)
    assert shown(film) == list(range(20))


def test_odd_sizes_lose_a_line(tmp_path: Path) -> None:
    write_film(tmp_path / "odd.mp4", TransformResult(Film(np.stack(greys(3, 47, 65)), 16.0), ()))
    assert read_film(tmp_path / "odd.mp4").frames.shape[1:] == (64, 46, 3)
    with pytest.raises(VideoError, match="2 x 2 pixels or more, got 47 x 1"):
        write_film(
            tmp_path / "line.mp4", TransformResult(Film(np.stack(greys(3, 47, 1)), 16.0), ())
        )


def test_a_film_that_cannot_be_written_is_a_video_error(tmp_path: Path) -> None:
    made = TransformResult(Film(np.stack(greys(3)), 16.0), ())
    for path in (tmp_path / "nowhere" / "film.mp4", tmp_path / "film.unknown"):
        with pytest.raises(VideoError, match="could not be encoded"):
            write_film(path, made)


def test_a_higher_crf_is_coarser(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (5, 48, 64, 3)).astype(np.uint8)
    for crf in (20, 45):
        write_film(tmp_path / f"{crf}.mp4", TransformResult(Film(noise, 16.0), (), crf=crf))
    errors = {}
    for crf in (20, 45):
        decoder = Decoder(
            tmp_path / f"{crf}.mp4", VideoSettings(), frames_per_second=16, short_side=48
        )
        pictures = np.stack([frame.rgb for frame in decoder]).astype(int)
        errors[crf] = float(np.abs(pictures - noise).mean())
    assert errors[45] > errors[20]
