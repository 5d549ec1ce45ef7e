"""Laws of negative banks, of the share on which a bank acts, and of its actions."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.state.curation import BankSetting
from searcher.curation.actions import STRENGTH, action_on, acts_of, in_share
from searcher.curation.rules import Negative, Ruling, is_worth_it, rule
from searcher.decisions import Action
from searcher.matching.scoring.policy import Policy

ORDER = ("no_match", "review", "copy")
SECONDS = st.integers(0, 60)
DECISIONS = st.sampled_from(ORDER)
LAW = settings(max_examples=60, deadline=None)
WHOLE = Negative("intro", "intros", 0.0, 60.0)


def found(start: float, end: float, decision: str) -> dict[str, Any]:
    times = {"query_start_seconds": start, "query_end_seconds": end}
    ref = {"ref_start_seconds": start + 5, "ref_end_seconds": end + 5}
    return {**times, **ref, "decision": decision}


def spans() -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(SECONDS, SECONDS).map(lambda two: (min(two), max(two)))


RANGES = st.lists(
    st.tuples(spans(), DECISIONS).map(lambda one: found(*one[0], one[1])), min_size=1, max_size=4
)
NEGATIVES = st.lists(spans().map(lambda span: Negative("intro", "intros", *span)), max_size=4)
POLICIES = st.builds(Policy, st.just(0.9), st.just(0.5), st.integers(0, 9), st.floats(0, 0.5))


def ruling(ranges: list[dict[str, Any]], policy: Policy, negatives: list[Negative]) -> Ruling:
    return rule(
        *(ranges, ()),
        fingerprint="video:q",
        bank="b",
        policy=policy,
        query_seconds=60.0,
        negatives=negatives,
    )


def strengths(told: Ruling) -> list[int]:
    return list(map(ORDER.index, told.decisions))


@LAW
@given(ranges=RANGES, policy=POLICIES, negatives=NEGATIVES, more=NEGATIVES)
def test_more_negative_ranges_never_strengthen_a_decision(
    ranges: list[dict[str, Any]], policy: Policy, negatives: list[Negative], more: list[Negative]
) -> None:
    few, many = ruling(ranges, policy, negatives), ruling(ranges, policy, [*negatives, *more])
    assert all(a >= b for a, b in zip(strengths(few), strengths(many), strict=True))
    assert ruling(ranges, policy, [*more, *negatives]).decisions == many.decisions


@LAW
@given(ranges=RANGES, policy=POLICIES)
def test_without_negative_ranges_decisions_stay_and_a_negative_query_matches_nothing(
    ranges: list[dict[str, Any]], policy: Policy
) -> None:
    assert ruling(ranges, policy, []).decisions == [one["decision"] for one in ranges]
    # A single moment of the query has no length that could be covered.
    long = [one for one in ranges if one["query_end_seconds"] > one["query_start_seconds"]]
    assert set(ruling(long, policy, [WHOLE]).decisions) <= {"no_match"}


@pytest.mark.parametrize(
    ("negative", "decision"),
    [((0, 10), "no_match"), ((0, 9), "no_match"), ((0, 6), "review"), ((0, 5), "copy")],
)
def test_what_a_negative_range_leaves_decides(negative: tuple[float, float], decision: str) -> None:
    told = ruling([found(0, 10, "copy")], Policy(0.9, 0.5), [Negative("i", "n", *negative)])
    assert (told.decisions, len(told.negatives[0])) == ([decision], 1)
    assert is_worth_it((0, 10), [negative]) == (decision != "no_match")


def test_what_is_left_must_be_as_long_as_the_policy_demands() -> None:
    negatives = [Negative("i", "n", 0, 4)]
    assert ruling([found(0, 10, "copy")], Policy(0.9, 0.5, 6.0), negatives).decisions == ["copy"]
    assert ruling([found(0, 10, "copy")], Policy(0.9, 0.5, 7.0), negatives).decisions == [
        "no_match"
    ]


@LAW
@given(
    bank=st.text(max_size=9), query=st.text(max_size=9), shares=st.tuples(*[st.floats(0, 1)] * 2)
)
def test_a_larger_share_only_adds_queries(
    bank: str, query: str, shares: tuple[float, float]
) -> None:
    low, high = sorted(shares)
    assert in_share(bank, query, high) or not in_share(bank, query, low)
    assert in_share(bank, query, low) == in_share(bank, query, low)
    assert in_share(bank, query, 1.0)
    assert not in_share(bank, query, 0.0)


def test_a_share_is_that_share_of_the_queries_and_banks_choose_independently() -> None:
    queries = [f"video:{number}.mp4" for number in range(4000)]
    first, second = ({one for one in queries if in_share(b, one, 0.25)} for b in ("a", "b"))
    # Four standard deviations of a binomial distribution.
    assert abs(len(first) - 1000) < 4 * (4000 * 0.25 * 0.75) ** 0.5
    assert abs(len(first & second) - 250) < 4 * (4000 / 16 * 15 / 16) ** 0.5


RULES = st.lists(
    st.fixed_dictionaries(
        {
            "decision": st.sampled_from(ORDER[1:]),
            "action": st.sampled_from(STRENGTH),
            "min_seconds": st.integers(0, 60),
            "min_coverage": st.floats(0, 1),
        }
    ),
    max_size=4,
)


@LAW
@given(ranges=RANGES, rules=RULES, seconds=st.integers(1, 60))
def test_outside_of_its_share_a_bank_only_notifies(
    ranges: list[dict[str, Any]], rules: list[dict[str, Any]], seconds: int
) -> None:
    inside = action_on(ranges, seconds, {"in_share": True, "rules": rules})
    outside = action_on(ranges, seconds, {"in_share": False, "rules": rules})
    assert outside in ("notify", "allow")
    assert outside == min(inside, "notify", key=STRENGTH.index)
    decision = max((one["decision"] for one in ranges), key=ORDER.index)
    own = {one["action"] for one in rules if one["decision"] == decision}
    assert inside in own | {{"copy": "block", "review": "review", "no_match": "allow"}[decision]}
    assert (inside == "allow") or decision != "no_match"


def test_the_first_rule_that_fits_decides() -> None:
    rules = [
        {"decision": "copy", "action": "block", "min_seconds": 0.0, "min_coverage": 0.8},
        {"decision": "copy", "action": "notify", "min_seconds": 5.0, "min_coverage": 0.0},
        {"decision": "review", "action": "allow", "min_seconds": 0.0, "min_coverage": 0.0},
    ]
    acts = acts_of(BankSetting("", "", enabled=True, policy={}, actions=rules), "b", "video:q")

    def action(*ranges: dict[str, Any]) -> str:
        return action_on(ranges, 10.0, acts)

    assert action(found(0, 8, "copy")) == "block"
    assert action(found(0, 6, "copy")) == "notify"
    # What is only to be reviewed does not make a copy longer.
    assert action(found(0, 4, "copy"), found(4, 10, "review")) == "block"
    assert action(found(0, 1, "copy")) == "block"
    assert action(found(0, 9, "review")) == "allow"
    assert set(STRENGTH) == set(get_args(Action))
