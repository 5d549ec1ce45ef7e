"""Laws of groups of copies, on made-up overlaps whose truth can be seen."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyhash.duplicates.duplicate_groups import DuplicateGroup, are_copies, grouped
from storyhash.duplicates.overlaps import Overlap, SharedRange, stronger


def share(
    first: str, second: str, first_coverage: float, second_coverage: float, probability: float = 0.9
) -> Overlap:
    """An overlap of videos of a hundred seconds or so."""
    if second < first:
        first, second = second, first
        first_coverage, second_coverage = second_coverage, first_coverage
    ranges = (SharedRange(0.0, 100 * first_coverage, 0.0, 100 * second_coverage),)
    return Overlap(first, second, ranges, first_coverage, second_coverage, probability, "copy")


def test_copies_of_copies_are_one_group() -> None:
    (group,) = grouped([share("a", "b", 0.9, 0.9), share("c", "b", 0.9, 0.9)], _lengths("abc"))
    assert group.copies == ("a", "b", "c")
    assert not group.excerpts
    assert not group.parts


def test_an_excerpt_is_listed_with_each_film_that_holds_it_and_joins_none() -> None:
    lengths = {"film": 100.0, "other": 90.0, "excerpt": 10.0}
    groups = grouped(
        [share("film", "excerpt", 0.1, 1.0), share("other", "excerpt", 0.11, 1.0)], lengths
    )
    assert [(one.copies, one.excerpts) for one in groups] == [
        (("film",), ("excerpt",)),
        (("other",), ("excerpt",)),
    ]


def test_a_compilation_of_two_films_joins_no_two_of_them() -> None:
    lengths = {"a": 100.0, "b": 100.0, "both": 200.0, "parts": 40.0}
    groups = grouped(
        [
            share("a", "both", 1.0, 0.5),
            share("b", "both", 1.0, 0.5),
            share("a", "parts", 0.2, 0.5),
            share("b", "parts", 0.2, 0.5),
            share("both", "parts", 0.2, 1.0),
        ],
        lengths,
    )
    assert all(len(group.copies) == 1 for group in groups)
    (both,) = [one for one in groups if one.copies == ("both",)]
    assert both.excerpts == ("a", "b", "parts")


def test_a_video_that_is_mostly_one_film_is_its_copy_and_has_a_part_of_the_other() -> None:
    (group,) = grouped([share("a", "c", 0.9, 0.7), share("b", "c", 0.2, 0.3)], _lengths("abc"))
    assert group.copies == ("a", "c")
    assert [(one.first, one.second) for one in group.parts] == [("b", "c")]
    assert group.videos == {"a", "b", "c"}


@pytest.mark.parametrize("wrong", [0.5, 0.0, 1.01, float("nan")])
def test_a_share_that_could_join_unrelated_films_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"above 0\.5"):
        grouped([], {}, wrong)


def _lengths(names: str) -> dict[str, float]:
    return {name: 100.0 + number for number, name in enumerate(names)}


NAMES = "abcdefgh"
COVERAGES = st.sampled_from([0.1, 0.3, 0.55, 0.6, 0.9, 1.0])


@st.composite
def pairs(draw: st.DrawFn) -> list[Overlap]:
    chosen = draw(st.lists(st.sampled_from([*combinations(NAMES, 2)]), unique=True, max_size=14))
    return [share(*ends, draw(COVERAGES), draw(COVERAGES)) for ends in chosen]


@given(pairs(), st.randoms())
def test_neither_the_order_of_pairs_nor_that_of_their_ends_matters(
    overlaps: list[Overlap], random: object
) -> None:
    shuffled = list(overlaps)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert grouped(shuffled, _lengths(NAMES)) == grouped(overlaps, _lengths(NAMES))
    # With the names turned round, every pair is given from its other side.
    turned = dict(zip(NAMES, reversed(NAMES), strict=True))
    renamed = [
        share(turned[one.first], turned[one.second], one.first_coverage, one.second_coverage)
        for one in overlaps
    ]
    before = {frozenset(turned[name] for name in one.copies) for one in _whole(overlaps)}
    assert {frozenset(one.copies) for one in _whole(renamed)} == before


def _whole(overlaps: list[Overlap]) -> list[DuplicateGroup]:
    return [one for one in grouped(overlaps, _lengths(NAMES)) if len(one.copies) > 1]


@given(pairs())
def test_copies_are_an_equivalence_and_every_pair_is_given(overlaps: list[Overlap]) -> None:
    groups = grouped(overlaps, _lengths(NAMES))
    group_of = {name: one.copies for one in groups for name in one.copies}
    assert sum(len(one.copies) for one in groups) == len(group_of)
    for one in overlaps:
        if are_copies(one):
            assert group_of[one.first] == group_of[one.second]
    for group in groups:
        reached = {group.copies[0]}
        for _ in group.copies:
            for one in overlaps:
                if are_copies(one) and not reached.isdisjoint((one.first, one.second)):
                    reached |= {one.first, one.second}
        assert reached == set(group.copies)
        assert set(group.excerpts).isdisjoint(group.copies)
    listed = {one for group in groups for one in (*group.overlaps, *group.parts)}
    assert listed == set(overlaps)


@given(COVERAGES, COVERAGES, COVERAGES, COVERAGES, st.floats(0, 1), st.floats(0, 1))
def test_the_stronger_of_two_answers_does_not_depend_on_their_order(
    a: float, b: float, c: float, d: float, p: float, q: float
) -> None:
    one, other = share("x", "y", a, b, p), share("x", "y", c, d, q)
    assert stronger(one, other) == stronger(other, one)


def test_ranges_of_the_same_length_win_over_one_that_reaches_too_far() -> None:
    exact, wide = share("x", "y", 0.6, 0.6), share("x", "y", 0.8, 0.6)
    assert stronger(exact, wide) == exact
    assert stronger(share("x", "y", 0.3, 0.3), exact) == exact
