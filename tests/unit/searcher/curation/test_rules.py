"""Exceptions take ranges out of a match, and what is left is judged."""

from __future__ import annotations

from typing import Any

import pytest

from common.state.exceptions import StoredException
from searcher.curation.rules import Negative, Ruling, rule
from searcher.matching.scoring.policy import Policy

POLICY = Policy(0.9, 0.5)


def found(
    ref: tuple[float, float], decision: str = "copy", *, query_start: float = 0.0
) -> dict[str, Any]:
    return {
        "query_start_seconds": query_start,
        "query_end_seconds": query_start + ref[1] - ref[0],
        "ref_start_seconds": ref[0],
        "ref_end_seconds": ref[1],
        "decision": decision,
    }


def excepted(
    seconds: tuple[float, float] | None = None, *, query: str | None = None, bank: str = "b"
) -> StoredException:
    kind = "pair" if seconds is None else "range"
    start, end = seconds or (None, None)
    return StoredException(1, kind, bank, query, "ref", start, end, "why", "", None, None, 0)


def ruling(
    ranges: list[dict[str, Any]], *exceptions: StoredException, policy: Policy = POLICY
) -> Ruling:
    return rule(
        ranges, exceptions, fingerprint="video:q", bank="b", policy=policy, query_seconds=20.0
    )


def test_without_exceptions_decisions_stay() -> None:
    given = [found((0, 10)), found((20, 22), "review"), found((30, 40), "no_match")]
    told = ruling(given)
    assert (told.decisions, told.exceptions) == (["copy", "review", "no_match"], [[]] * 3)


def test_an_excepted_pair_is_no_match_and_another_query_still_is() -> None:
    assert ruling([found((0, 10))], excepted(query="video:q")).decision == "no_match"
    assert ruling([found((0, 10))], excepted(query="video:other")).decision == "copy"


@pytest.mark.parametrize(
    ("excepted_seconds", "decision"),
    [
        ((0, 10), "no_match"),
        # One second is left: as much as localisation is inexact.
        ((0.5, 9.5), "no_match"),
        ((0, 8), "review"),
        ((0, 5), "copy"),
        ((10, 20), "copy"),
    ],
)
def test_what_an_excepted_range_leaves_decides(
    excepted_seconds: tuple[float, float], decision: str
) -> None:
    assert ruling([found((0, 10))], excepted(excepted_seconds)).decision == decision


def test_only_the_range_that_is_excepted_is_no_match() -> None:
    told = ruling([found((0, 10)), found((50, 60), query_start=10)], excepted((0, 12)))
    assert told.decisions == ["no_match", "copy"]
    assert [len(some) for some in told.exceptions] == [1, 0]


def test_two_exceptions_together_cover_a_range() -> None:
    assert ruling([found((0, 10))], excepted((0, 6)), excepted((5, 11))).decision == "no_match"


def test_what_is_left_must_be_long_enough_for_the_bank() -> None:
    exception = excepted((0, 4))
    assert ruling([found((0, 10))], exception, policy=Policy(0.9, 0.5, 6.0)).decision == "copy"
    assert ruling([found((0, 10))], exception, policy=Policy(0.9, 0.5, 6.5)).decision == "no_match"
    # 6 of 20 seconds are left.
    too_little = Policy(0.9, 0.5, min_coverage=0.31)
    assert ruling([found((0, 10))], exception, policy=too_little).decision == "no_match"


def test_an_exception_of_another_bank_is_of_an_earlier_video_with_this_id() -> None:
    assert ruling([found((0, 10))], excepted((0, 10), bank="other")).decision == "copy"


def test_a_still_in_an_excepted_range_is_no_match() -> None:
    still = {**found((5, 5)), "query_end_seconds": 4.0}
    assert ruling([still], excepted((0, 10))).decision == "no_match"
    assert ruling([still], excepted((6, 10))).decision == "copy"


@pytest.mark.parametrize(("negative", "decision"), [((0, 10), "no_match"), ((10, 20), "copy")])
def test_what_an_excepted_range_leaves_of_a_match_that_runs_backwards(
    negative: tuple[float, float], decision: str
) -> None:
    """The end of the reference, which is not excepted, is the beginning of the query."""
    told = rule(
        [{**found((0, 20)), "evidence": {"tempo": -1.0}}],
        [excepted((0, 10))],
        fingerprint="video:q",
        bank="b",
        policy=POLICY,
        query_seconds=20.0,
        negatives=[Negative("n", "b", *negative)],
    )
    assert told.decision == decision
