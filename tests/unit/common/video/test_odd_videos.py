"""Nothing of a video is lost in silence: clocks that jump, several tracks, changing sizes, damage."""

from __future__ import annotations

import gc
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import VideoLimitError
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry, Segment
from common.video import Decoder, decode_clip, decode_images, encode_video
from common.video.frame_to_rgb import scaled_size
from ingest.clip_packer import ProducedVideo, produce
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoDone
from tests.conftest import quadrants
from tests.support.odd_videos import RATE, corners, jpeg, pictures, write_packets, write_tracks

ROOT = Path(__file__).parents[4]
LIMITS = VideoSettings()
AREA = LIMITS.max_clip_pixels


def produced(path: Path, **video: object) -> tuple[list[Segment], ProducedVideo]:
    made = list(
        produce(
            CatalogEntry("film", str(path)),
            path,
            1,
            VideoSettings.model_validate(video),
            IngestSettings(),
        )
    )
    done = made.pop()
    assert isinstance(done, ProducedVideo)
    return [one for one in made if isinstance(one, Segment)], done


def brightness(segments: list[Segment]) -> list[float]:
    """Of every frame of every segment, in order."""
    return [
        float(frame.mean())
        for one in segments
        for frame in decode_clip(one.clip, start_seconds=one.ref.start_seconds).frames
    ]


@pytest.mark.parametrize("suffix", [".ts", ".mpg", ".webm"])
def test_what_follows_a_clock_that_jumps_back_is_kept(tmp_path: Path, suffix: str) -> None:
    for name, shade in (("a", 0), ("b", 3)):
        part, frames = tmp_path / f"{name}{suffix}", pictures(100, shade=shade)
        if suffix == ".webm":
            write_tracks(part, [frames])
        else:
            encode_video(part, frames, RATE)
    joined = tmp_path / f"ab{suffix}"
    joined.write_bytes(
        (tmp_path / f"a{suffix}").read_bytes() + (tmp_path / f"b{suffix}").read_bytes()
    )
    segments, done = produced(joined)
    assert done.duration_seconds == pytest.approx(8.0, abs=0.1)
    assert done.damaged is None
    assert "jumps of the timestamps: 1, the first after" in (done.notes or "")
    light = brightness(segments)
    assert np.mean(light[: len(light) // 3]) > 2 * np.mean(light[-len(light) // 3 :])


@pytest.mark.parametrize(("suffix", "rate"), [(".h264", 50), (".h264", 12), (".m4v", 50)])
def test_a_stream_without_a_container_has_times_by_its_own_rate(
    tmp_path: Path, suffix: str, rate: int
) -> None:
    path = tmp_path / f"a{suffix}"
    encode_video(path, pictures(10 * rate), rate)
    _, done = produced(path)
    assert done.duration_seconds == pytest.approx(10.0, abs=0.2)
    assert (done.damaged, done.notes) == (None, None)


def test_a_stream_that_says_no_rate_is_told_of(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.obu", [pictures(50)], codec="libsvtav1")
    _, done = produced(path)
    assert done.duration_seconds == pytest.approx(2.0, abs=0.05)
    assert "so 25 frames per second are assumed" in (done.notes or "")


def test_one_wild_time_stamp_costs_nothing(tmp_path: Path) -> None:
    ticks = [40 * number for number in range(250)]
    ticks[100] = 12 * 60_000
    film = write_packets(tmp_path / "wild.avi.mkv", [jpeg(one) for one in pictures(250)], ticks)
    _, done = produced(film)
    assert done.duration_seconds == pytest.approx(10.0, abs=0.05)
    assert done.damaged is None
    assert "wrong time" in (done.notes or "")


def test_a_frame_that_comes_late_is_counted(tmp_path: Path) -> None:
    ticks = [40 * number for number in range(100)]
    ticks[30], ticks[60] = ticks[28] + 10, ticks[58] + 10
    film = write_packets(tmp_path / "late.mkv", [jpeg(one) for one in pictures(100)], ticks)
    _, done = produced(film)
    assert done.duration_seconds == pytest.approx(4.0, abs=0.05)
    assert done.damaged == "damaged: late frames that were dropped: 2"


def test_two_takes_hours_apart_are_one_short_film(tmp_path: Path) -> None:
    ticks = [40 * number for number in range(100)]
    film = write_packets(
        tmp_path / "takes.mkv",
        [jpeg(one) for one in pictures(200)],
        [*ticks, *(tick + 7_200_000 for tick in ticks)],
    )
    _, done = produced(film)
    assert done.duration_seconds == pytest.approx(8.0, abs=0.1)


def test_the_decoder_and_not_the_header_decides_how_long_a_film_is(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    encode_video(path, pictures(125), RATE)
    content = path.read_bytes()
    # The element Duration: its id, eight bytes, a double; milliseconds.
    at = content.index(b"\x44\x89\x88") + 3
    assert struct.unpack(">d", content[at : at + 8])[0] == pytest.approx(5_000, abs=50)
    path.write_bytes(content[:at] + struct.pack(">d", 108_002_000.0) + content[at + 8 :])
    _, done = produced(path)
    assert done.duration_seconds == pytest.approx(5.0)
    assert done.damaged is None
    with pytest.raises(VideoLimitError, match="MAX_SECONDS"):
        produced(path, max_seconds=3.0)


def test_a_size_that_changes_half_way_is_fitted(tmp_path: Path) -> None:
    sizes = ((64, 48), (48, 64), (96, 72))
    parts = []
    for number, (width, height) in enumerate(sizes):
        part = tmp_path / f"{number}.ts"
        encode_video(part, pictures(70, width, height), RATE)
        parts.append(part.read_bytes())
    (tmp_path / "call.ts").write_bytes(b"".join(parts))
    segments, done = produced(tmp_path / "call.ts")
    assert done.duration_seconds == pytest.approx(8.4, abs=0.1)
    assert len(segments) == 2
    for one in segments:
        assert decode_clip(one.clip).frames.ndim == 4


def test_a_folder_of_photographs_of_many_shapes_is_a_video(tmp_path: Path) -> None:
    for number in range(30):
        width, height = ((64, 48), (48, 64), (80, 48))[number % 3]
        picture = np.full((height, width, 3), 90, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number:03}.jpg"), picture)
    (segment,), done = produced(tmp_path)
    assert decode_clip(segment.clip).frames.shape[1:] == (48, 64, 3)
    assert done.duration_seconds == pytest.approx(30 / 24)


def exif_orientation(value: int) -> bytes:
    """An APP1 segment that says how a camera was held."""
    tiff = b"MM\x00*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, value, 0, 0)
    body = b"Exif\x00\x00" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


# The corners of a picture that is turned as its camera was, by the orientation in its EXIF data.
TURNED = [
    (1, ["red", "green", "blue", "white"]),
    (3, ["white", "blue", "green", "red"]),
    (6, ["blue", "red", "white", "green"]),
    (8, ["green", "white", "red", "blue"]),
]
MIRRORED = (2, ["green", "red", "white", "blue"])


@pytest.mark.parametrize(("value", "expected"), [*TURNED, MIRRORED])
def test_a_photograph_is_turned_as_its_camera_was(
    tmp_path: Path, value: int, expected: list[str]
) -> None:
    plain = jpeg(quadrants())
    (tmp_path / "1.jpg").write_bytes(plain[:2] + exif_orientation(value) + plain[2:])
    (frame,) = decode_images(
        [tmp_path / "1.jpg"], LIMITS, source_fps=24, frames_per_second=8, short_side=480
    )
    assert corners(frame.rgb) == expected


def png_with(kind: bytes, data: bytes) -> bytes:
    """A PNG picture of four colours with one more chunk, after its header."""
    plain = cv2.imencode(".png", cv2.cvtColor(quadrants(), cv2.COLOR_RGB2BGR))[1].tobytes()
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    header = 8 + 25
    return plain[:header] + struct.pack(">I", len(data)) + kind + data + checksum + plain[header:]


@pytest.mark.parametrize(("value", "expected"), TURNED)
def test_a_png_photograph_is_turned_too(tmp_path: Path, value: int, expected: list[str]) -> None:
    tiff = exif_orientation(value)[10:]
    (tmp_path / "1.png").write_bytes(png_with(b"eXIf", tiff))
    (frame,) = decode_images(
        [tmp_path / "1.png"], LIMITS, source_fps=24, frames_per_second=8, short_side=480
    )
    assert corners(frame.rgb) == expected


def test_png_pictures_with_a_colour_profile_are_read(tmp_path: Path) -> None:
    profile = b"Display P3\0\0" + zlib.compress(bytes(128))
    (tmp_path / "1.png").write_bytes(png_with(b"iCCP", profile))
    # In a process of its own, because a fault in FFmpeg's memory would end this one.
    code = f"""
import gc
from common.video.moments import pictures_at
from common.settings import VideoSettings
from pathlib import Path
for _ in range(50):
    list(pictures_at(Path({str(tmp_path / "1.png")!r}), [0.0], VideoSettings(), short_side=48))
    gc.collect()
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (run.returncode, run.stderr) == (0, b"")


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".ts", ".mp4"])
def test_one_picture_is_no_film_where_another_track_has_more(tmp_path: Path, suffix: str) -> None:
    path = write_tracks(tmp_path / f"film{suffix}", [pictures(1, 192, 144), pictures(100)])
    _, done = produced(path)
    assert done.duration_seconds == pytest.approx(4.0, abs=0.1)
    assert "ignored tracks: 0 (192x144, a still image)" in (done.notes or "")


def test_the_default_track_is_the_film_then_the_larger(tmp_path: Path) -> None:
    small, large = pictures(50, 64, 48), pictures(50, 96, 64)
    path = write_tracks(tmp_path / "film.mkv", [large, small], default=1)
    segments, done = produced(path)
    assert decode_clip(segments[0].clip).frames.shape[1:3] == (48, 64)
    assert "video track 1 (64x48) is used" in (done.notes or "")
    segments, done = produced(write_tracks(tmp_path / "film.ts", [small, large]))
    assert decode_clip(segments[0].clip).frames.shape[1:3] == (64, 96)


def test_of_two_tracks_of_one_size_the_longer_is_the_film(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "film.ts", [pictures(50), pictures(100)])
    _, done = produced(path)
    assert done.duration_seconds == pytest.approx(4.0, abs=0.1)
    assert "video track 1 (64x48) is used" in (done.notes or "")


def test_bad_packets_are_counted_in_a_row(tmp_path: Path) -> None:
    good = jpeg(pictures(1)[0])
    count = 5_000
    spread = write_packets(
        tmp_path / "spread.mkv",
        [good if number % 2 == 0 else b"rubbish" for number in range(count)],
        [40 * number for number in range(count)],
    )
    _, done = produced(spread)
    assert done.duration_seconds == pytest.approx(count / RATE, abs=0.1)
    assert done.damaged == "damaged: packets that could not be decoded: 2500"


def test_where_decoding_ended_is_told(tmp_path: Path) -> None:
    good = jpeg(pictures(1)[0])
    film = write_packets(
        tmp_path / "end.mkv",
        [*[good] * 100, *[b"rubbish"] * 2_100, *[good] * 10],
        [40 * number for number in range(2_210)],
    )
    _, done = produced(film)
    assert "decoding ended at 4.0 s: 2000 packets in a row" in (done.damaged or "")


def test_a_film_that_ends_before_its_header_says_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    write_tracks(path, [pictures(250)])
    content = bytearray(path.read_bytes())
    # The sample table is read, but the samples are cut off: the table comes last, so move it first.
    data, table = content.index(b"mdat") - 4, content.index(b"moov") - 4
    assert data < table
    body = content[data:table]
    path.write_bytes(content[:data] + content[table:] + body[: len(body) // 2])
    decoder = Decoder(path, LIMITS, frames_per_second=8, short_side=480)
    # Offsets are wrong now, so little decodes; what does is told to be too little.
    frames = 0
    try:
        frames = len(list(decoder))
    except Exception as error:
        assert "frame" in str(error)  # noqa: PT017
    assert frames == 0 or decoder.damaged


def test_a_slide_is_in_every_segment_in_which_it_is_shown(tmp_path: Path) -> None:
    slides = [jpeg(np.full((48, 64, 3), shade, np.uint8)) for shade in (40, 120, 200)]
    film = write_packets(tmp_path / "talk.mkv", slides, [0, 17_200, 30_300])
    segments, done = produced(film)
    spans = [(one.ref.start_seconds, one.ref.end_seconds) for one in segments]
    assert spans[:7] == [(4.0 * number, 4.0 * number + 4) for number in range(7)]
    for one in segments[:-1]:
        opened = decode_clip(one.clip, start_seconds=one.ref.start_seconds)
        assert opened.pts_seconds[0] == pytest.approx(one.ref.start_seconds)
        # Every half second has its frame, and shows what is shown then.
        slots = {int(moment * 2 + 0.01) for moment in opened.pts_seconds}
        assert len(slots) == 8
        for moment, frame in zip(opened.pts_seconds, opened.frames, strict=True):
            shown = 40 if moment < 17.19 else 120 if moment < 30.29 else 200
            assert abs(float(frame.mean()) - shown) < 12
    assert done.duration_seconds >= 30.3


@pytest.mark.parametrize("rate", [2, 8, 25])
def test_a_steady_video_has_no_frame_twice(tmp_path: Path, rate: int) -> None:
    encode_video(tmp_path / "film.mp4", pictures(10 * rate), rate)
    segments, _ = produced(tmp_path / "film.mp4")
    counts = [len(decode_clip(one.clip).frames) for one in segments]
    assert counts == [min(rate, 8) * 4, min(rate, 8) * 4, min(rate, 8) * 2]


@pytest.mark.parametrize(
    ("width", "height", "aspect"),
    [
        *((2, 2, 1), (1, 1, 1), (16, 16, 1), (2, 2000, 1), (8000, 16, 1), (4000, 4000, 1)),
        *((1920, 1080, 1 / 255), (1920, 1080, 255), (640, 480, 0.0), (640, 480, -3.0)),
        *((640, 480, float("nan")), (640, 480, float("inf")), (5000, 900, 1), (4096, 31, 1)),
    ],
)
def test_any_shape_gives_a_clip_that_can_be_used(width: int, height: int, aspect: float) -> None:
    wide, high = scaled_size(width, height, aspect, 480, AREA)
    assert min(wide, high) >= 32
    assert min(wide, high) <= 480
    assert wide * high <= AREA
    assert max(wide, high) <= 16 * min(wide, high)
    assert wide % 2 == high % 2 == 0


@pytest.mark.parametrize(
    ("source", "clip"),
    [
        *(((1920, 1080), (854, 480)), ((1080, 1920), (480, 854)), ((64, 48), (64, 48))),
        *(((640, 480), (640, 480)), ((3840, 2160), (854, 480)), ((1600, 288), (1600, 288))),
        ((1920, 800), (1152, 480)),
    ],
)
def test_ordinary_sizes_are_scaled_by_the_short_side_alone(
    source: tuple[int, int], clip: tuple[int, int]
) -> None:
    assert scaled_size(*source, 1.0, 480, AREA) == clip


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (2, 600), (2000, 16)])
def test_films_of_extreme_shape_are_indexed(tmp_path: Path, size: tuple[int, int]) -> None:
    encode_video(tmp_path / "film.mp4", pictures(20, *size), 10)
    (segment,), _ = produced(tmp_path / "film.mp4")
    assert min(decode_clip(segment.clip).frames.shape[1:3]) >= 32


def test_a_segment_holds_no_more_than_its_bound_at_any_frame_rate(tmp_path: Path) -> None:
    encode_video(tmp_path / "film.mp4", pictures(1_000, 640, 64), 240)
    bound = int(6 * LIMITS.frames_per_second)
    segments, done = produced(tmp_path / "film.mp4", max_clip_pixels=4096)
    assert done.duration_seconds == pytest.approx(1_000 / 240)
    for one in segments:
        frames = decode_clip(one.clip, max_frames=bound, max_pixels=4096).frames
        assert len(frames) <= bound


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_frames_that_were_given_are_let_go(tmp_path: Path) -> None:
    """Of a film of large pictures, no more than a few are in memory at once."""
    encode_video(tmp_path / "film.mp4", pictures(80, 1280, 720), 8)
    memory = Path("/proc/self/statm")
    decoder = Decoder(tmp_path / "film.mp4", LIMITS, frames_per_second=8, short_side=32)
    gc.disable()
    try:
        seen = [int(memory.read_text().split()[1]) * resource.getpagesize() for _ in decoder]
    finally:
        gc.enable()
    # A decoded frame has 1.4 MB.
    assert seen[-1] - seen[20] < 20 * 1280 * 720 * 1.5


def test_a_clip_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    encode_video(tmp_path / "clip.mp4", pictures(200, 64, 48), 60)
    clip = (tmp_path / "clip.mp4").read_bytes()
    assert len(decode_clip(clip, max_frames=200, max_pixels=64 * 48).frames) == 200
    with pytest.raises(VideoLimitError, match="more than 60 frames"):
        decode_clip(clip, max_frames=60)
    with pytest.raises(VideoLimitError, match="frame of 64x48"):
        decode_clip(clip, max_pixels=64 * 47)
    with pytest.raises(VideoLimitError, match="frames need more than 1 MiB"):
        decode_clip(clip, max_bytes=1 << 20)


def test_a_decoder_shows_that_it_lives_while_it_finds_nothing(tmp_path: Path) -> None:
    film = write_packets(
        tmp_path / "bad.mkv",
        [jpeg(pictures(1)[0]), *[b"rubbish"] * 500],
        [40 * number for number in range(501)],
    )
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    list(Decoder(film, LIMITS, frames_per_second=8, short_side=480, beat=beat))
    assert beats >= 500


def test_a_pool_tells_what_was_passed_over(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "film.mkv", [pictures(1), pictures(50)])
    with DecoderPool(LIMITS, IngestSettings(workers=1)) as pool:
        events = list(pool.run([(CatalogEntry("film", str(path)), 1)]))
    assert isinstance(events[0], SegmentReady)
    assert isinstance(events[-1], VideoDone)
    assert "ignored tracks: 0" in (events[-1].notes or "")
