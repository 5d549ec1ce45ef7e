"""Clips are opened in children: the same comes of it, and no clip harms the process that wanted it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path

import numpy as np
import pytest

from common.errors import DecoderCrashedError, VideoError, VideoLimitError
from common.settings import IngestSettings, VideoSettings
from common.types import FrameBatch, Segment, SegmentRef
from common.video import encode_clip, encode_video
from embedder import stage as stage_module
from embedder.clip_opening import (
    ClipBounds,
    ClipRequest,
    InProcessOpener,
    OpenedClip,
    SampledFrames,
    clip_bounds,
    open_clip,
)
from embedder.clip_processes import SubprocessOpener, _decode, _encode
from embedder.stage import EmbedderStage
from embedder.tracking.motion import MotionTracker
from tests.support.counting import CountingBackend, segment
from tests.support.services import children

BOTH = ClipRequest(2.0, 8.0, follow=True)
_MIB = 1024 * 1024


@pytest.fixture(scope="module")
def openers() -> Iterator[SubprocessOpener]:
    made = SubprocessOpener(VideoSettings(), IngestSettings(), count=2)
    yield made
    made.close()


def clip_of(width: int, height: int, frames: int, name: str = "v") -> Segment:
    """A clip of noise that drifts, in blocks."""
    rng = np.random.default_rng([width, height])
    still = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    still = np.kron(still, np.ones((8, 8, 1), np.uint8))[:height, :width]
    batch = FrameBatch(
        np.stack([np.roll(still, 2 * step, axis=1) for step in range(frames)]),
        np.arange(frames) / 8.0,
    )
    clip = encode_clip(batch, start_seconds=0.0, max_bytes=1 << 22)
    return Segment(SegmentRef(name, 0.0, frames / 8.0), clip)


def same(a: OpenedClip, b: OpenedClip) -> bool:
    if not (a.sampled and b.sampled and a.tracks and b.tracks):
        return False
    pairs = [
        (a.sampled.frames, b.sampled.frames),
        (a.sampled.informative, b.sampled.informative),
        (a.sampled.pts_seconds, b.sampled.pts_seconds),
        (a.tracks.centroids, b.tracks.centroids),
        (a.tracks.areas, b.tracks.areas),
        (a.tracks.visible, b.tracks.visible),
    ]
    return all(np.array_equal(x, y) for x, y in pairs) and a.tracks.quality == b.tracks.quality


def test_a_child_gives_what_this_process_would_in_order(openers: SubprocessOpener) -> None:
    segments = [segment(str(seed), seed) for seed in range(5)]
    here = list(InProcessOpener().open(segments, BOTH))
    there = list(openers.open(segments, BOTH))
    assert len(there) == 5
    assert all(same(a, b) for a, b in zip(here, there, strict=True))
    assert not same(here[0], there[1])


def test_frames_for_a_tracker_with_weights_come_back_as_they_are(openers: SubprocessOpener) -> None:
    (opened,) = openers.open([segment("a", 1)], ClipRequest(None, 4.0))
    assert opened.sampled is None
    assert opened.tracks is None
    assert opened.moving is not None
    assert len(opened.moving.frames) == 8


@pytest.mark.parametrize(
    "size", [(1600, 288), (288, 1600), (16, 16), (2, 2000), (2000, 2), (2, 2), (30, 34)]
)
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_clips_of_every_shape_are_opened(
    openers: SubprocessOpener, size: tuple[int, int], frames: int
) -> None:
    wanted = clip_of(*size, frames)
    backend = CountingBackend()
    stage = EmbedderStage("t", backend, MotionTracker(), sampling="none", opener=openers)
    (embedding,) = stage.process([wanted])
    assert np.isfinite(embedding.vector).all()


def test_a_small_file_of_huge_pictures_is_refused_in_little_memory(
    openers: SubprocessOpener, tmp_path: Path
) -> None:
    black = np.zeros((4064, 4080, 3), np.uint8)
    encode_video(tmp_path / "huge.mp4", islice(repeat(black), 20), 8.0)
    clip = (tmp_path / "huge.mp4").read_bytes()
    assert len(clip) < 200_000
    with pytest.raises(VideoLimitError, match=r"4080x4064.*STORYHASH_VIDEO__MAX_CLIP_PIXELS"):
        list(openers.open([Segment(SegmentRef("huge", 0.0, 2.5), clip)], BOTH))


def test_more_frames_than_a_segment_has_are_refused_before_they_are_held() -> None:
    bounds = ClipBounds(max_frames=20, max_pixels=1280 * 720)
    many = clip_of(64, 64, 21)
    with pytest.raises(VideoLimitError, match="at most 20 frames"):
        open_clip(many.clip, 0.0, BOTH, bounds)
    assert open_clip(clip_of(64, 64, 20).clip, 0.0, BOTH, bounds).sampled is not None


def test_the_bounds_are_those_of_the_longest_segment_of_the_largest_picture() -> None:
    bounds = clip_bounds(VideoSettings(), IngestSettings())
    assert bounds == ClipBounds(56, 1280 * 720)
    # The worst clip, ten times an ordinary one of 480p and 4 s, is opened.
    longest = clip_of(1280, 720, 56)
    assert open_clip(longest.clip, 0.0, BOTH, bounds).sampled is not None


def test_a_clip_that_does_not_decode_fails_alone(openers: SubprocessOpener) -> None:
    opened = openers.open([segment("a", 1), segment("b", 2, broken=True)], BOTH)
    assert next(opened).sampled is not None
    with pytest.raises(VideoError):
        next(opened)
    assert list(openers.open([segment("c", 3)], BOTH))


@pytest.mark.usefixtures("own_interpreters")
def test_a_child_that_dies_is_one_failed_clip() -> None:
    before = set(children(os.getpid()))
    openers = SubprocessOpener(VideoSettings(), IngestSettings(), count=1)
    try:
        assert list(openers.open([segment("a", 1)], BOTH))
        (pid,) = set(children(os.getpid())) - before
        os.kill(pid, signal.SIGSEGV)
        with pytest.raises(DecoderCrashedError):
            list(openers.open([segment("b", 2)], BOTH))
        assert list(openers.open([segment("b", 2)], BOTH))
    finally:
        openers.close()


@pytest.mark.usefixtures("own_interpreters")
def test_children_end_with_the_stage_that_had_them() -> None:
    before = set(children(os.getpid()))
    openers = SubprocessOpener(VideoSettings(), IngestSettings(), count=1)
    assert list(openers.open([segment("a", 1)], BOTH))
    del openers
    assert set(children(os.getpid())) <= before


def spoilt(**changes: np.ndarray) -> memoryview:
    sampled = SampledFrames(
        np.zeros((2, 4, 4, 3), np.uint8), np.ones(2, dtype=bool), np.array([0.0, 0.5])
    )
    for name, value in changes.items():
        object.__setattr__(sampled, name, value)
    return memoryview(b"".join(map(bytes, _encode(OpenedClip(sampled, None, None, {})))))


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": np.zeros((2, 40, 40, 3), np.uint8)},
        {"frames": np.zeros((2, 0, 4, 3), np.uint8)},
        {"frames": np.zeros((3, 4, 4, 3), np.uint8)},
        {"frames": np.zeros((2, 4, 4), np.uint8)},
        {"pts_seconds": np.array([0.5, 0.5])},
        {"pts_seconds": np.array([0.0, np.nan])},
        {"informative": np.ones(2, np.uint8)},
    ],
)
def test_what_a_child_may_not_send_is_refused(changes: dict[str, np.ndarray]) -> None:
    bounds = ClipBounds(8, 100)
    assert _decode(bounds, spoilt()).sampled is not None
    with pytest.raises(ValueError):
        _decode(bounds, spoilt(**changes))


def test_pictures_are_described_in_groups_of_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    one = InProcessOpener().open([segment("a", 1)], BOTH)
    sampled = next(iter(one)).sampled
    assert sampled is not None
    monkeypatch.setattr(stage_module, "BATCH_MIB", 2.5 * sampled.frames.nbytes / _MIB)
    backend = CountingBackend()
    stage = EmbedderStage("t", backend, MotionTracker(), sampling="none")
    segments = [segment(str(seed), seed) for seed in range(5)]
    grouped = stage.process(segments)
    assert len(backend.calls) == 3
    assert [one.ref for one in grouped] == [one.ref for one in segments]
    whole = EmbedderStage("t", CountingBackend(), MotionTracker(), sampling="none")
    monkeypatch.undo()
    for a, b in zip(grouped, whole.process(segments), strict=True):
        assert np.array_equal(a.vector, b.vector)
