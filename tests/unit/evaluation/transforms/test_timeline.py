"""The truth about edited time: what the pieces say is what the frames show."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.records import CopiedRange
from evaluation.transforms.registry import TRANSFORMS, context_for
from evaluation.transforms.timeline import chain, compose_ranges
from tests.support.evaluation_films import check_truth, numbered, numbered_partner, read_numbers

# Mixes draw on the picture, and so over the numbers; `chain`, which they are, is tested below.
CUT = [
    name
    for name, one in TRANSFORMS.items()
    if (one.group == "temporal" and not name.startswith("mix_"))
    or name in ("speed_0.9", "speed_1.1", "combined")
]
# `fps_drop` shows frames up to a fifth of a second late, any other up to one frame of the original.
LATE = {"fps_drop": 0.2}


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize(("count", "rate"), [(1, 16.0), (5, 16.0), (40, 16.0), (200, 16.0),
                                             (83, 14.985), (30, 4.0)])  # fmt: skip
def test_pieces_say_what_the_frames_show(name: str, count: int, rate: float) -> None:
    film = numbered(count, rate)
    made = TRANSFORMS[name].apply(film, context_for(name, "video", numbered_partner))
    assert made.pieces
    check_truth(made, film, LATE.get(name, 0.0) + 1 / rate + 1e-9)
    for one in made.pieces:
        assert 0 <= one.query_start_seconds < one.query_end_seconds <= made.film.duration_seconds
        assert 0 <= one.ref_start_seconds < one.ref_end_seconds <= film.duration_seconds


def test_the_check_itself_notices_a_wrong_piece() -> None:
    film = numbered(100)
    made = TRANSFORMS["reverse"].apply(film, context_for("reverse", "video", numbered_partner))
    check_truth(made, film, 0.1)
    whole = made.pieces[0]
    straight = CopiedRange(0.0, whole.query_end_seconds, 0.0, whole.ref_end_seconds)
    late = CopiedRange(3.0, whole.query_end_seconds, 3.0, whole.ref_end_seconds, in_order=False)
    for wrong in (straight, late):
        with pytest.raises(AssertionError):
            check_truth(type(made)(made.film, (wrong,)), film, 0.1)


def pieces_of(name: str, count: int = 200, rate: float = 16.0) -> list[tuple[float, ...]]:
    film = numbered(count, rate)
    made = TRANSFORMS[name].apply(film, context_for(name, "video", numbered_partner))
    return [
        (one.query_start_seconds, one.query_end_seconds, one.ref_start_seconds, one.ref_end_seconds)
        for one in made.pieces
    ]


def test_a_film_of_12_and_a_half_seconds_is_cut_as_the_names_say() -> None:
    assert pieces_of("speed_0.5") == [(0, 25, 0, 12.5)]
    assert pieces_of("speed_2") == [(0, 6.25, 0, 12.5)]
    assert pieces_of("trim_start") == [(0, 9.375, 3.125, 12.5)]
    assert pieces_of("trim_middle") == [(0, 7.5, 2.5, 10)]
    assert pieces_of("loop") == [(0, 3, 0, 3), (3, 6, 0, 3), (6, 9, 0, 3)]
    assert pieces_of("reverse") == [(0, 12.5, 0, 12.5)]
    assert pieces_of("freeze") == [
        (0, 6.25, 0, 6.25), (6.25, 8.25, 6.25, 6.3125), (8.25, 14.5, 6.25, 12.5)
    ]  # fmt: skip
    assert pieces_of("mashup")[:2] == [(0, 2, 0, 2), (4, 6, 2, 4)]


def test_a_film_too_short_for_an_edit_gets_what_is_possible() -> None:
    assert pieces_of("loop", 16) == [(0, 1, 0, 1), (1, 2, 0, 1)]
    assert pieces_of("trim_middle", 40) == [(0, 2, 0.25, 2.25)]
    assert pieces_of("trim_middle", 16) == [(0, 1, 0, 1)]
    assert pieces_of("excerpt_3", 32) == [(0, 2, 0, 2)]
    assert pieces_of("shuffle", 1) == [(0, 1 / 16, 0, 1 / 16)]


@pytest.mark.parametrize("seconds", [2, 3, 5])
@pytest.mark.parametrize("count", [20, 200])
def test_an_insert_lies_in_the_middle_of_10_to_20_seconds(seconds: int, count: int) -> None:
    name = f"insert_{seconds}"
    starts = set()
    for video in range(8):
        made = TRANSFORMS[name].apply(
            numbered(count), context_for(name, f"video {video}", numbered_partner)
        )
        (piece,) = made.pieces
        long = piece.query_end_seconds - piece.query_start_seconds
        assert long == piece.ref_end_seconds - piece.ref_start_seconds == min(seconds, count / 16)
        assert 10 <= made.film.duration_seconds - long <= 20
        after = made.film.duration_seconds - piece.query_end_seconds
        assert abs(piece.query_start_seconds - after) <= 1 / 16
        assert made.partners == ("partner 0",)
        starts.add(piece.ref_start_seconds)
    assert (len(starts) > 1) == (count / 16 > seconds)


def test_a_shuffle_shows_every_stretch_once_and_not_in_its_place() -> None:
    for video in range(20):
        made = TRANSFORMS["shuffle"].apply(
            numbered(50), context_for("shuffle", f"video {video}", numbered_partner)
        )
        numbers, _ = read_numbers(made.film)
        assert sorted(numbers) == list(range(50)) != numbers


def test_backward_and_frozen_stretches_are_not_in_order() -> None:
    film = numbered(50)
    for name, expected in (("reverse", [False]), ("freeze", [True, False, True])):
        made = TRANSFORMS[name].apply(film, context_for(name, "video", numbered_partner))
        assert [one.in_order for one in made.pieces] == expected


def test_an_excerpt_of_an_insert_is_the_overlap() -> None:
    insert = [CopiedRange(10, 13, 40, 43)]
    assert compose_ranges(insert, [CopiedRange(0, 5, 9, 14)]) == (CopiedRange(1, 4, 40, 43),)
    assert compose_ranges(insert, [CopiedRange(0, 1, 12, 13)]) == (CopiedRange(0, 1, 42, 43),)
    assert compose_ranges(insert, [CopiedRange(0, 5, 4, 9)]) == ()


def test_speed_after_speed_multiplies() -> None:
    assert compose_ranges([CopiedRange(0, 5, 0, 10)], [CopiedRange(0, 10, 0, 5)]) == (
        CopiedRange(0, 10, 0, 10),
    )


def test_what_is_not_in_order_is_taken_whole() -> None:
    backwards = CopiedRange(0, 10, 0, 10, in_order=False)
    assert compose_ranges([backwards], [CopiedRange(0, 2, 4, 6)]) == (
        CopiedRange(0, 2, 0, 10, in_order=False),
    )
    assert compose_ranges([CopiedRange(3, 6, 0, 3)], [backwards]) == (
        CopiedRange(0, 10, 0, 3, in_order=False),
    )


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(CUT), min_size=2, max_size=2),
    count=st.integers(1, 120),
    video=st.text("abc", min_size=1, max_size=3),
)
def test_two_edits_in_a_row_still_say_what_the_frames_show(
    names: list[str], count: int, video: str
) -> None:
    film = numbered(count)
    steps = [TRANSFORMS[name] for name in names]
    made = chain(film, context_for("two", video, numbered_partner), steps)
    # A frame is shown late by the first edit and again by the second, at up to twice the speed.
    late = 3 * max(LATE.get(name, 0.0) for name in names)
    check_truth(made, film, late + 6 / 16, edge_frames=6)
    for one in made.pieces:
        assert one.query_end_seconds <= made.film.duration_seconds + 1e-9
        assert one.ref_end_seconds <= film.duration_seconds + 1e-9
