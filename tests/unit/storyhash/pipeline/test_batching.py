"""Segments are embedded in batches across videos, and one that is bad fails alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from common.errors import VideoError
from common.types import Embedding, Float32Array, Segment
from embedder.stage import EmbedderStage
from embedder.tracking.motion import MotionTracker
from storyhash.pipeline.batching import SegmentBatcher
from tests.support.counting import CountingBackend, segment


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
