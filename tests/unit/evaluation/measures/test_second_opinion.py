"""A second profile is asked where the first one finds no copy."""

from __future__ import annotations

import pytest

from common.errors import UsageError
from evaluation.measures.second_opinion import with_second_opinion
from evaluation.records import QueryRow, ScoredMatch
from tests.support.evaluation_rows import found, row

SURE, DOUBTFUL, WRONG = found("self", 0.99), found("self", 0.6), found("stranger", 0.7)


def together(first: QueryRow, second: QueryRow) -> QueryRow:
    ((_, _, both),) = with_second_opinion([first], [second])
    return both


@pytest.mark.parametrize(
    ("first", "second", "matches"),
    [
        ((SURE,), (WRONG,), (SURE,)),
        ((DOUBTFUL,), (WRONG,), (WRONG, DOUBTFUL)),
        ((WRONG,), (SURE,), (SURE, WRONG)),
        ((), (DOUBTFUL,), (DOUBTFUL,)),
    ],
)
def test_the_second_is_asked_where_the_first_has_no_copy(
    first: tuple[ScoredMatch, ...],
    second: tuple[ScoredMatch, ...],
    matches: tuple[ScoredMatch, ...],
) -> None:
    both = together(
        row("all", *first, profile="sscd-motion"), row("all", *second, profile="offline")
    )
    assert both.matches == matches
    assert both.profile == "sscd-motion, then offline"


def test_a_copy_that_only_the_second_finds_must_be_surer() -> None:
    for probability, decision in ((0.97, "review"), (0.985, "copy")):
        both = together(row("all"), row("all", found("stranger", probability)))
        assert [match.decision for match in both.matches] == [decision]


def test_a_query_that_failed_has_the_answer_of_the_other_profile() -> None:
    failed, answered = row("all", error="unreadable"), row("all", SURE)
    for both in (together(failed, answered), together(answered, failed)):
        assert (both.matches, both.error) == ((SURE,), "")
    assert together(failed, failed).error == "unreadable"


def test_queries_that_only_one_profile_has_are_left_out() -> None:
    common, other = row("all", SURE), row("all", SURE, video_id="other")
    assert len(list(with_second_opinion([common, other], [common]))) == 1
    with pytest.raises(UsageError, match="two rows"):
        list(with_second_opinion([common, row("all", WRONG)], [common]))
