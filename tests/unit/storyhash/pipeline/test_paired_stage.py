"""One decoded clip for two profiles: the same embeddings as each profile alone, for the price of one
decode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from common.errors import DependencyError
from common.types import Float32Array, Segment, UInt8Array
from embedder.clip_opening import ClipRequest, InProcessOpener, OpenedClip
from embedder.stage import EmbedderStage
from embedder.tracking.motion import MotionTracker
from storyhash.pipeline.paired_stage import PairedStage
from tests.support.counting import CountingBackend, segment


class CountingOpener(InProcessOpener):
    """`opened`: the number of clips."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0

    def open(self, segments: Sequence[Segment], recipe: ClipRequest) -> Iterator[OpenedClip]:
        self.opened += len(segments)
        return super().open(segments, recipe)


class Brighter(CountingBackend):
    """Another backend. `refuses`: what it raises instead of an answer."""

    fingerprint = "brighter"
    refuses: Exception | None = None

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        if self.refuses is not None:
            raise self.refuses
        return super().encode([255 - picture for picture in pictures])


class Slower(Brighter):
    """It wants other frames."""

    fingerprint = "slower"
    frames_per_second = 1.0


def stage(backend: CountingBackend) -> tuple[EmbedderStage, CountingOpener]:
    opener = CountingOpener()
    made = EmbedderStage(
        backend.fingerprint, backend, MotionTracker(), sampling="none", opener=opener
    )
    return made, opener


SEGMENTS = [segment("a", 1), segment("b", 2)]


@pytest.mark.parametrize(("backend", "opened"), [(Brighter, 0), (Slower, 2)])
def test_both_embed_as_they_do_alone_and_equal_clips_are_opened_once(
    backend: type[Brighter], opened: int
) -> None:
    first, first_opener = stage(CountingBackend())
    second, second_opener = stage(backend())
    both = PairedStage(first, second).process(SEGMENTS)
    assert (first_opener.opened, second_opener.opened) == (2, opened)
    for one, alone, other in zip(
        both, first.process(SEGMENTS), second.process(SEGMENTS), strict=True
    ):
        assert one.second is not None
        for found, expected in ((one.embedding, alone), (one.second, other)):
            assert (found.ref, found.model_id) == (expected.ref, expected.model_id)
            np.testing.assert_array_equal(found.vector, expected.vector)
            np.testing.assert_array_equal(found.frames, expected.frames)
    assert not np.allclose(both[0].embedding.vector, both[0].second.vector)  # type: ignore[union-attr]


def test_an_error_of_the_second_profile_does_not_concern_the_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, _ = stage(CountingBackend())
    broken = Brighter()
    broken.refuses = ZeroDivisionError("of all")
    second, _ = stage(broken)
    both = PairedStage(first, second).process(SEGMENTS)
    assert [one.embedding.ref.video_id for one in both] == ["a", "b"]
    assert [one.second for one in both] == [None, None]
    assert "of all" in caplog.text
    broken.refuses = DependencyError("out of reach")
    with pytest.raises(DependencyError):
        PairedStage(first, second).process(SEGMENTS)
