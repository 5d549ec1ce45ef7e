"""Video in and out: upright, sampled by time, bounded, and honest about damage."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.frame import VideoFrame

from common.errors import (
    NoFramesError,
    NoVideoStreamError,
    VideoError,
    VideoLimitError,
    VideoTimeoutError,
)
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry, FrameBatch, UInt8Array
from common.video import Decoder, decode_clip, decode_images, encode_clip, encode_video, probe
from common.video.frame_to_rgb import scaled_size, turn_upright
from common.video.hdr import to_sdr
from ingest.clip_packer import ProducedVideo, produce
from tests.conftest import checkerboard, quadrants
from tests.support.odd_videos import corners

LIMITS = VideoSettings()


def write(
    path: Path,
    frames: Sequence[UInt8Array],
    ticks: Sequence[int],
    *,
    rotation: int | None = None,
    aspect: Fraction | None = None,
    pix_fmt: str = "yuv420p",
) -> Path:
    """A film whose frame times are given in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for rgb, tick in zip(frames, ticks, strict=True):
            frame = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decoder(source: Path | bytes, limits: VideoSettings = LIMITS, **options: float) -> Decoder:
    rate = options.get("frames_per_second", 1000.0)
    return Decoder(
        source, limits, frames_per_second=rate, short_side=int(options.get("short_side", 480))
    )


def test_colours_survive_encoding_and_decoding(tmp_path: Path) -> None:
    encode_video(tmp_path / "film.mp4", [quadrants()] * 5, 10)
    frame = list(decoder(tmp_path / "film.mp4"))[2]
    assert np.abs(frame.rgb[10, 10].astype(int) - (220, 30, 30)).max() < 12
    assert np.abs(frame.rgb[10, 50].astype(int) - (30, 200, 30)).max() < 12


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, ["red", "green", "blue", "white"]),
        (90, ["green", "white", "red", "blue"]),
        (180, ["white", "blue", "green", "red"]),
        (270, ["blue", "red", "white", "green"]),
    ],
)
def test_a_rotation_tag_is_obeyed(tmp_path: Path, degrees: int, expected: list[str]) -> None:
    path = write(tmp_path / "film.mp4", [quadrants()] * 3, [0, 40, 80], rotation=degrees)
    assert corners(next(iter(decoder(path))).rgb) == expected


def test_a_mirroring_matrix_is_obeyed() -> None:
    one = 1 << 16
    assert corners(turn_upright(quadrants(), (-one, 0, 0, one))) == [
        "green",
        "red",
        "white",
        "blue",
    ]
    assert corners(turn_upright(quadrants(), None)) == ["red", "green", "blue", "white"]


def test_time_starts_at_the_first_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "late.mkv", [checkerboard()] * 3, [10_000, 10_040, 10_080])
    assert [frame.pts_seconds for frame in decoder(path)] == pytest.approx([0, 0.04, 0.08])


def test_variable_frame_rates_keep_their_own_times_and_are_sampled_by_time(tmp_path: Path) -> None:
    ticks = [0, 10, 20, 500, 510, 900]
    path = write(tmp_path / "vfr.mkv", [checkerboard()] * len(ticks), ticks)
    assert [frame.pts_seconds for frame in decoder(path, frames_per_second=2)] == [0.0, 0.5]
    every = [frame.pts_seconds for frame in decoder(path)]
    assert every == pytest.approx([tick / 1000 for tick in ticks])


def test_pictures_are_shrunk_to_the_short_side_and_never_enlarged(tmp_path: Path) -> None:
    encode_video(tmp_path / "film.mp4", [checkerboard(320, 240)] * 2, 10)
    assert next(iter(decoder(tmp_path / "film.mp4", short_side=120))).rgb.shape == (120, 160, 3)
    assert next(iter(decoder(tmp_path / "film.mp4", short_side=480))).rgb.shape == (240, 320, 3)


def test_pixels_that_are_not_square_are_made_square() -> None:
    assert scaled_size(720, 576, 64 / 45, 576, 1 << 20) == (1024, 576)
    assert scaled_size(720, 480, 8 / 9, 480, 1 << 20) == (640, 480)


def test_ten_bits_come_out_as_eight(tmp_path: Path) -> None:
    path = write(tmp_path / "deep.mkv", [quadrants()] * 3, [0, 40, 80], pix_fmt="yuv420p10le")
    picture = next(iter(decoder(path))).rgb
    assert picture.dtype == np.uint8
    assert corners(picture) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize("curve", ["pq", "hlg"])
def test_hdr_keeps_black_black_white_bright_and_order(curve: str) -> None:
    ramp = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[:, None, None], 3, axis=2)
    levels = to_sdr(ramp, curve)[:, 0, 0].astype(int)
    assert levels[0] == 0
    assert levels[-1] == 255
    assert (np.diff(levels) >= 0).all()


def test_a_truncated_file_gives_its_good_part_and_says_so(tmp_path: Path) -> None:
    frames = [checkerboard(64, 48, 4 + index % 5) for index in range(50)]
    whole = write(tmp_path / "whole.mkv", frames, [40 * index for index in range(50)])
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    reading = decoder(cut)
    assert 1 <= len(list(reading)) < 50


@pytest.mark.parametrize("start", [0, 60_000])
def test_a_truncated_matroska_file_says_so_and_a_whole_one_does_not(
    tmp_path: Path, start: int
) -> None:
    path = write(tmp_path / "a.mkv", [quadrants(64, 64)] * 100, range(start, start + 10_000, 100))
    whole = decoder(path)
    list(whole)
    assert whole.damaged is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut = decoder(path)
    list(cut)
    assert "but its header says 9.9 s" in (cut.damaged or "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", ": the file is empty"), (b"no video at all", " but a text file"), (bytes(4096), ": ")],
)
def test_rubbish_is_refused_in_words(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "rubbish.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=f"not a readable video{reason}"):
        list(decoder(path))
    with pytest.raises(VideoError, match="file not found"):
        list(decoder(tmp_path / "missing.mp4"))


def test_an_mp4_without_its_end_is_called_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "download.mp4"
    encode_video(path, [checkerboard()] * 20, 10)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])
    with pytest.raises(VideoError, match="cut short; get the complete file"):
        list(decoder(path))


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_is_no_video(tmp_path: Path, cover: bool) -> None:
    path = tmp_path / "sound.mp3"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=44_100)
        packets = []
        if cover:
            picture = container.add_stream("mjpeg")
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
            picture.disposition = Disposition.attached_pic
            frame = VideoFrame.from_ndarray(quadrants(64, 64), format="rgb24")
            packets += [*picture.encode(frame.reformat(format="yuvj420p")), *picture.encode()]
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 44_100), np.int16), "s16", "mono")
        sound.sample_rate = 44_100
        container.mux([*packets, *stream.encode(sound), *stream.encode()])
    only = "audio, cover picture" if cover else "audio"
    with pytest.raises(NoVideoStreamError, match=f"only: {only}$"):
        probe(path, LIMITS)


def test_every_bound_is_kept(tmp_path: Path) -> None:
    encode_video(tmp_path / "film.mp4", [checkerboard()] * 20, 10)
    path = tmp_path / "film.mp4"
    with pytest.raises(VideoLimitError, match="MAX_PIXELS"):
        list(decoder(path, LIMITS.model_copy(update={"max_pixels": 100})))
    with pytest.raises(VideoLimitError, match="MAX_FRAMES"):
        list(decoder(path, LIMITS.model_copy(update={"max_frames": 5})))
    with pytest.raises(VideoLimitError, match="MAX_SECONDS"):
        list(decoder(path, LIMITS.model_copy(update={"max_seconds": 1.0})))
    with pytest.raises(VideoTimeoutError, match="WALL_SECONDS"):
        list(decoder(path, LIMITS.model_copy(update={"wall_seconds": 1e-9})))


def test_a_clip_keeps_its_times_to_a_millisecond() -> None:
    pts = 4.0 + np.array([0.03, 0.125, 0.31, 1.0])
    batch = FrameBatch(np.stack([quadrants()] * 4), pts)
    clip = encode_clip(batch, start_seconds=4.0, max_bytes=1 << 20)
    opened = decode_clip(clip, start_seconds=4.0)
    assert opened.pts_seconds == pytest.approx(pts, abs=0.0011)
    assert corners(opened.frames[0]) == ["red", "green", "blue", "white"]
    assert clip == encode_clip(batch, start_seconds=4.0, max_bytes=1 << 20)


def test_a_clip_over_its_bytes_is_packed_again_or_refused() -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (8, 96, 96, 3), dtype=np.uint8)
    batch = FrameBatch(noise, np.arange(8) / 8)
    free = len(encode_clip(batch, start_seconds=0, max_bytes=1 << 24))
    assert len(encode_clip(batch, start_seconds=0, max_bytes=free // 2)) <= free // 2
    with pytest.raises(VideoLimitError, match="MAX_CLIP_BYTES"):
        encode_clip(batch, start_seconds=0, max_bytes=500)


def test_a_damaged_clip_is_refused() -> None:
    batch = FrameBatch(np.stack([quadrants()] * 4), np.arange(4) / 8)
    clip = encode_clip(batch, start_seconds=0, max_bytes=1 << 20)
    with pytest.raises(VideoError):
        decode_clip(clip[: len(clip) // 2])


def test_a_folder_of_pictures_is_a_video(tmp_path: Path) -> None:
    import cv2

    for number in range(6):
        cv2.imwrite(str(tmp_path / f"{number:05}.png"), quadrants()[..., ::-1])
    paths = sorted(tmp_path.iterdir())
    frames = list(decode_images(paths, LIMITS, source_fps=24, frames_per_second=12, short_side=480))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([0, 2 / 24, 4 / 24])
    assert corners(frames[0].rgb) == ["red", "green", "blue", "white"]
    paths[2].write_bytes(b"broken")
    with pytest.raises(VideoError, match=paths[2].name):
        list(decode_images(paths, LIMITS, source_fps=24, frames_per_second=12, short_side=480))


@pytest.mark.parametrize(
    ("broken", "count"), [([0], 1), ([2], 0), ([6, 7], 2), ([117, 118, 119], 3)]
)
def test_a_picture_that_cannot_be_read_is_left_out_of_its_folder_and_counted(
    tmp_path: Path, broken: list[int], count: int
) -> None:
    import cv2

    for number in range(120):
        cv2.imwrite(str(tmp_path / f"{number:05}.png"), quadrants()[..., ::-1])
    paths = sorted(tmp_path.iterdir())
    for number in broken:
        paths[number].write_bytes(b"broken")
    entry = CatalogEntry("a", str(tmp_path))
    *segments, done = produce(entry, tmp_path, 1, VideoSettings(), IngestSettings())
    assert isinstance(done, ProducedVideo)
    assert (len(segments), done.duration_seconds) == (1, 5.0)
    # Of each eighth of a second one picture is looked at, and the next where it cannot be read.
    told = f"damaged: {count} images could not be read" if count else ""
    assert (done.damaged or "").startswith(told)
    assert bool(done.damaged) == bool(count)


def test_a_folder_of_which_no_picture_can_be_read_is_refused(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number:05}.png").write_bytes(b"broken")
    with pytest.raises(VideoError, match=r"00000\.png"):
        list(
            produce(
                CatalogEntry("a", str(tmp_path)), tmp_path, 1, VideoSettings(), IngestSettings()
            )
        )


def test_a_stream_without_one_frame_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises((NoFramesError, VideoError)):
        list(decoder(path))
