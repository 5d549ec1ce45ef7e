"""Segments are embedded in batches across videos, and one that is bad fails alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest

from common.errors import VideoError
from common.types import Embedding, Float32Array, FrameBatch, Segment, SegmentRef, UInt8Array
from common.video import encode_clip
from embedder.stage import EmbedderStage
from embedder.tracking.motion import MotionTracker
from storyhash.batching import SegmentBatcher
from storyhash.samples import film


class CountingBackend:
    """A picture is described by its mean colour; `calls` has how many pictures came at once."""

    name = "counting"
    fingerprint = "counting"
    frames_per_second = 2.0
    pooling = "mean"
    views = ("identity",)
    batch_pictures = 24

    def __init__(self) -> None:
        self.calls: list[int] = []

    def encode(self, pictures: Sequence[UInt8Array], *, reference: bool = False) -> Float32Array:
        self.calls.append(len(pictures))
        rows = np.zeros((len(pictures), 512), dtype=np.float32)
        rows[:, :3] = [picture.mean(axis=(0, 1)) for picture in pictures]
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def segment(video_id: str, seed: int, *, broken: bool = False) -> Segment:
    frames = np.stack(list(islice(film(seed, 2.0), 16)))
    batch = FrameBatch(frames, np.arange(16) / 8.0)
    clip = b"no clip" if broken else encode_clip(batch, start_seconds=0.0, max_bytes=1 << 22)
    return Segment(SegmentRef(video_id, 0.0, 2.0), clip)


@pytest.fixture
def backend() -> CountingBackend:
    return CountingBackend()


@pytest.fixture
def stage(backend: CountingBackend) -> EmbedderStage:
    return EmbedderStage("test", backend, MotionTracker(), sampling="none")


def test_pictures_of_all_segments_go_to_the_backend_at_once(
    stage: EmbedderStage, backend: CountingBackend
) -> None:
    segments = [segment(f"v{seed}", seed) for seed in range(3)]
    assert stage.segments_at_once == 3
    together = stage.process(segments)
    assert backend.calls == [12]
    alone = [stage.process([one])[0] for one in segments]
    for one, other in zip(together, alone, strict=True):
        assert one.ref == other.ref
        np.testing.assert_allclose(one.vector, other.vector, atol=1e-6)


def run(stage: EmbedderStage, segments: list[Segment]) -> list[Embedding | VideoError]:
    """Every segment through a batcher, in order."""
    outcomes: list[Embedding | VideoError] = []
    with ThreadPoolExecutor(1) as executor:
        batcher = SegmentBatcher(stage, executor)
        futures = [batcher.submit(one) for one in segments]
        for future in futures:
            try:
                outcomes.append(batcher.result(future))
            except VideoError as error:
                outcomes.append(error)
    return outcomes


def test_batches_are_filled_and_the_last_goes_out_as_it_is(
    stage: EmbedderStage, backend: CountingBackend
) -> None:
    outcomes = run(stage, [segment(f"v{seed}", seed % 2) for seed in range(7)])
    assert backend.calls == [12, 12, 4]
    assert [one.ref.video_id for one in outcomes if isinstance(one, Embedding)] == [
        f"v{number}" for number in range(7)
    ]


def test_a_segment_that_does_not_decode_fails_alone(stage: EmbedderStage) -> None:
    outcomes = run(stage, [segment(f"v{n}", n % 2, broken=n == 1) for n in range(5)])
    assert [isinstance(one, VideoError) for one in outcomes] == [False, True, False, False, False]


def test_another_failure_is_everybodys(
    stage: EmbedderStage, backend: CountingBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Float32Array:
        raise MemoryError("no more")

    monkeypatch.setattr(backend, "encode", broken)
    with pytest.raises(MemoryError):
        run(stage, [segment("v", 1), segment("w", 0)])
