"""The values that flow refuse what they cannot mean, and say expected and got."""

from __future__ import annotations

import numpy as np
import pytest

from common.types import Embedding, FrameBatch, QueryEmbedding, Segment, SegmentRef, Tracks

REF = SegmentRef("film", 4.0, 8.0)


def unit(dimension: int = 527) -> np.ndarray:
    vector = np.zeros(dimension, dtype=np.float32)
    vector[0] = 1.0
    return vector


def test_segment_id_names_the_video_and_its_milliseconds() -> None:
    assert REF.segment_id == "film@4000-8000"


def test_point_id_is_the_same_in_every_version_and_fits_63_bits() -> None:
    newer = SegmentRef("film", 4.0, 8.0, version=7)
    other = SegmentRef("film", 8.0, 12.0)
    assert REF.point_id == newer.point_id != other.point_id
    assert 0 <= REF.point_id < 2**63


@pytest.mark.parametrize(
    ("start", "end"), [(4.0, 4.0), (8.0, 4.0), (-1.0, 4.0), (0.0, float("inf"))]
)
def test_an_empty_or_endless_interval_is_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="expected 0 <= start_seconds < end_seconds"):
        SegmentRef("film", start, end)


def test_a_vector_of_another_dimension_is_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"vector: expected float32 \(527\), got float32 \(535,\)"):
        Embedding(REF, unit(535), np.zeros(8, np.float32), True, "model")


def test_an_embedding_is_of_unit_norm_or_zero_when_it_knows_nothing() -> None:
    graph = np.zeros(8, np.float32)
    Embedding(REF, unit(), graph, True, "model")
    Embedding(REF, unit() * 0, graph, False, "model")
    with pytest.raises(ValueError, match="norm"):
        Embedding(REF, unit() * 2, graph, True, "model")
    with pytest.raises(ValueError, match="norm"):
        Embedding(REF, unit(), graph, False, "model")


def test_a_clip_without_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="clip"):
        Segment(REF, b"")


def test_frames_must_come_in_time_order() -> None:
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    FrameBatch(frames, np.array([0.0, 0.5]))
    with pytest.raises(ValueError, match="increasing"):
        FrameBatch(frames, np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="pts_seconds"):
        FrameBatch(frames, np.array([0.0]))


def test_tracks_agree_on_how_many_moments_and_things_there_are() -> None:
    pts = np.arange(3.0)
    with pytest.raises(ValueError, match="areas"):
        Tracks(
            np.zeros((3, 2, 2), np.float32),
            np.zeros((3, 1), np.float32),
            np.ones((3, 2), bool),
            pts,
            1.0,
        )


def a_look(views: tuple[str, ...], model_id: str = "model", first: float = 0.0) -> QueryEmbedding:
    vectors = np.zeros((len(views), 2, 527), np.float32)
    seen = np.zeros((len(views), 2), bool)
    starts = np.array([first, 0.5])
    return QueryEmbedding("q", 4.5, model_id, views, starts, starts + 4, vectors, seen)


def test_every_view_of_a_query_has_a_name_of_its_own() -> None:
    assert a_look(("identity", "flip_h")).views == ("identity", "flip_h")
    with pytest.raises(ValueError, match="2 different names"):
        a_look(("flip_h", "flip_h"))


def test_a_second_look_at_a_query_joins_the_first() -> None:
    first = a_look(("identity",))
    assert first.joined(a_look(("flip_h", "left"))).views == ("identity", "flip_h", "left")
    with pytest.raises(ValueError, match="different names"):
        first.joined(first)
    for other in (a_look(("left",), "another"), a_look(("left",), first=0.1)):
        with pytest.raises(ValueError, match="same windows"):
            first.joined(other)
