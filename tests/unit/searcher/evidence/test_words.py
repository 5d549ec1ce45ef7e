"""A stored match in words: what changed the decision, and what a policy requires."""

from __future__ import annotations

from typing import Any

import pytest

from searcher.evidence.words import in_words, rule_words

RULE = {
    "name": "copy_probability",
    "threshold": 0.9,
    "margin": 0.05,
    "min_seconds": 0.0,
    "min_coverage": 0.0,
}


def match(**of_range: Any) -> dict[str, Any]:
    times = (
        *("query_start_seconds", "query_end_seconds"),
        *("ref_start_seconds", "ref_end_seconds"),
    )
    one = {**dict.fromkeys(times, 1.0), "view": "identity", "probability": 0.95}
    one |= {"decision": "no_match", **of_range}
    return {
        "decision": "no_match",
        "found_decision": "copy",
        "probability": 0.95,
        "bank": "news",
        "query": {"uri": "copy.mp4"},
        "ref_video_id": "a.mp4",
        "ref_title": "Tea",
        "ranges": [one],
        "rule": RULE,
        "verdict": None,
    }


@pytest.mark.parametrize(
    ("of_range", "what"),
    [
        ({"exceptions": [3]}, "An exception"),
        ({"negatives": [{"video_id": None}]}, "A video of a negative bank"),
    ],
)
def test_what_changed_the_decision_is_named(of_range: dict[str, Any], what: str) -> None:
    assert f"{what} changed the decision, which was: Copy." in in_words(match(**of_range))


def test_an_edit_is_told_only_of_a_range_that_may_be_a_copy() -> None:
    of_range = {"transform": {"words": "cut or reordered"}, "view": "rotate_90"}
    for decision, is_told in (("copy", True), ("review", True), ("no_match", False)):
        text = " ".join(in_words(match(decision=decision, **of_range)))
        assert ("reordered" in text, "rotate" in text) == (is_told, False)


@pytest.mark.parametrize(
    ("seconds", "coverage", "words"),
    [
        (3.0, 0.0, "at least 3 s."),
        (0.0, 0.5, "at least 50 % of the query."),
        (3.0, 0.5, "at least 3 s and 50 % of the query."),
    ],
)
def test_only_what_a_policy_requires_is_told(seconds: float, coverage: float, words: str) -> None:
    rule = {**RULE, "name": "coverage_too_small", "min_seconds": seconds, "min_coverage": coverage}
    assert rule_words(rule, 0.95, "news").endswith(words)
