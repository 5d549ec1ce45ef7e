"""From a score to a decision: strangers, prices, calibration, policies, and when to look again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError, UsageError
from common.settings import MatchingSettings, PolicySettings, load_settings
from common.types import Match, PassName, QueryEmbedding, TimeSpans
from searcher.matching.cascade import match_cascade
from searcher.matching.matcher import MatchReport
from searcher.matching.retrieval.retrieval import background_scores, non_match_scores
from searcher.matching.scoring.calibration import BackgroundScores, Calibration, load_calibration
from searcher.matching.scoring.policy import Policies, Policy, policies

CALIBRATION = Calibration(
    version="by-hand",
    measured=True,
    midpoint=0.5,
    slope=20.0,
    length_weight=1.0,
    background_weight=0.5,
    certain=0.8,
    views={"identity": (0.0, 0.2), "left": (0.1, 0.3)},
    copy_probability=0.9,
    review_probability=0.3,
)


def match(probability: float, seconds: float = 4.0, coverage: float = 1.0) -> Match:
    return Match(
        "film", "default", 0.0, seconds, 0.0, seconds, 0.6, probability, "identity", coverage
    )


def test_a_view_costs_its_price_and_a_strange_one_the_dearest() -> None:
    nobody = BackgroundScores()
    # Without strangers of its own a query has none that are unusual.
    assert CALIBRATION.normalised_score(0.7, "identity", nobody) == pytest.approx(0.7)
    assert CALIBRATION.normalised_score(0.7, "left", nobody) == pytest.approx(0.6)
    assert CALIBRATION.view_offset("unheard of") == 0.1


def test_strangers_that_are_more_alike_than_usual_count_against_a_score() -> None:
    many, few = BackgroundScores(0.4, 23), BackgroundScores(0.4, 2)
    assert CALIBRATION.background_shift("identity", many) == pytest.approx(0.2 * 23 / 29)
    assert (
        0
        < CALIBRATION.background_shift("identity", few)
        < CALIBRATION.background_shift("identity", many)
    )
    assert CALIBRATION.normalised_score(0.7, "identity", many) == pytest.approx(0.7 - 0.1 * 23 / 29)


def test_strangers_are_those_after_the_best_few_and_no_copies() -> None:
    scores = np.array([0.95, 0.93, 0.5, 0.45, 0.3, 0.2, 0.1])
    found = background_scores(non_match_scores(scores, certain=0.8))
    assert found.count == 3
    assert found.mean == pytest.approx(np.mean([0.3, 0.2, 0.1]))
    assert (
        background_scores(non_match_scores(np.array([0.95] * 40), certain=0.8))
        == BackgroundScores()
    )


def test_a_longer_match_is_more_probable_where_length_counts() -> None:
    short, usual, long, endless = (CALIBRATION.probability(0.5, s) for s in (1, 4, 16, 3600))
    assert short < usual == pytest.approx(0.5)
    assert usual < long == endless


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.01, 1e5))
def test_probability_grows_with_the_score_at_every_length(
    one: float, other: float, seconds: float
) -> None:
    low, high = sorted((one, other))
    assert CALIBRATION.probability(low, seconds) <= CALIBRATION.probability(high, seconds)


def test_a_calibration_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    fields = {name: getattr(CALIBRATION, name) for name in CALIBRATION.__slots__}
    path.write_text(json.dumps({"sscd": fields}))
    assert load_calibration("sscd", path) == CALIBRATION
    with pytest.raises(UsageError, match=r"nothing of offline.*evaluate calibrate"):
        load_calibration("offline", path)
    for content in ("{", '{"sscd": {}}', '{"sscd": {"views": {}}}', '{"sscd": {"views": 3}}', "[]"):
        path.write_text(content)
        with pytest.raises(UsageError, match=r"no calibration"):
            load_calibration("sscd", path)
    with pytest.raises(UsageError, match="No such file"):
        load_calibration("sscd", tmp_path / "none.json")


def test_a_match_too_short_for_its_bank_is_none() -> None:
    policy = Policy(0.9, 0.3, min_seconds=5, min_coverage=0.5)
    assert policy.decide([match(0.99, 6)], 6) == ["copy"]
    assert policy.decide([match(0.5, 6)], 6) == ["review"]
    assert policy.decide([match(0.99, 4)], 4) == ["no_match"]
    assert policy.decide([match(0.99, 6)], 15) == ["no_match"]


def parts(*probabilities: float) -> list[Match]:
    """Matches of five seconds each, one after the other."""
    return [
        Match("film", "default", 5.0 * n, 5.0 * n + 5, 0.0, 5.0, 0.6, p, "identity", 0.1)
        for n, p in enumerate(probabilities)
    ]


def test_a_policy_asks_for_the_length_of_all_matches_of_a_video_together() -> None:
    policy = Policy(0.9, 0.3, min_seconds=8, min_coverage=0.5)
    assert policy.decide(parts(*[0.99] * 6), 60) == ["copy"] * 6
    assert policy.decide(parts(*[0.99] * 5), 60) == ["no_match"] * 5
    # What is improbable covers nothing, and what is worth a review is no copy.
    assert policy.decide(parts(0.99, 0.1, 0.1), 20) == ["no_match"] * 3
    assert policy.decide(parts(0.99, 0.5), 20) == ["review", "review"]
    # The same part of the query counts once.
    assert policy.decide([*parts(0.99), *parts(0.99)], 20) == ["no_match"] * 2


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0, 1), st.floats(5, 60))
def test_a_further_match_weakens_no_decision(
    probabilities: list[float], more: float, seconds: float
) -> None:
    policy = Policy(0.9, 0.3, min_seconds=8, min_coverage=0.5)
    strength = ["no_match", "review", "copy"].index
    before = policy.decide(parts(*probabilities), seconds)
    after = policy.decide(parts(*probabilities, more), seconds)
    assert all(
        strength(now) >= strength(then) for then, now in zip(before, after[:-1], strict=True)
    )


def test_a_bank_has_its_own_policy_and_takes_the_rest_from_the_default() -> None:
    settings = MatchingSettings(
        policy=PolicySettings(min_seconds=2),
        banks={
            "news": PolicySettings(copy_probability=0.99),
            "lost": PolicySettings(copy_probability=0.2),
        },
    )
    found = policies(CALIBRATION, settings)
    assert found.of("sport") == Policy(0.9, 0.3, 2, 0)
    assert found.of("news") == Policy(0.99, 0.3, 2, 0)
    # What is a copy at 0.2 is not kept for a reviewer until 0.3.
    assert found.of("lost") == Policy(0.2, 0.2, 2, 0)
    assert policies(CALIBRATION, MatchingSettings()) == Policies(Policy(0.9, 0.3))


def test_policies_of_banks_are_set_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYHASH_MATCHING__BANKS", '{"news": {"min_seconds": 10}}')
    assert load_settings().matching.banks["news"].min_seconds == 10
    monkeypatch.setenv("STORYHASH_MATCHING__BANKS", '{"news": {"seconds": 10}}')
    with pytest.raises(SettingsError, match="STORYHASH_MATCHING__BANKS"):
        load_settings()


class Looked:
    """A matcher that finds a copy once it is shown a view of that name."""

    policies = Policies(Policy(0.9, 0.3))

    def __init__(self, found_in: str) -> None:
        self.found_in = found_in
        self.shown: list[tuple[str, ...]] = []

    def look(self, name: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
        views = {"first": ("identity",), "closer": ("left",), "thorough": ("left", "right")}[name]
        yield QueryEmbedding(
            *("q", 4.0, "model", views, np.zeros(1), np.full(1, 4.0)),
            np.zeros((len(views), 1, 527), dtype=np.float32),
            np.ones((len(views), 1), dtype=bool),
        )

    def begin(self, *_: object) -> Looked:
        return self

    def add(self, *looks: QueryEmbedding) -> None:
        self.shown.append(tuple(view for look in looks for view in look.views))

    def report(self) -> MatchReport:
        found = match(0.95 if self.found_in in self.shown[-1] else 0.1)
        return MatchReport("q", 4.0, "model", (), ()).with_matches([found], self.policies)


@pytest.mark.parametrize(
    ("found_in", "thorough", "shown"),
    [
        ("identity", False, [("identity",)]),
        ("left", False, [("identity",), ("identity", "left")]),
        ("nowhere", False, [("identity",), ("identity", "left")]),
        ("identity", True, [("identity",), ("identity", "left", "right")]),
    ],
)
def test_a_closer_look_is_taken_where_the_first_does_not_decide(
    found_in: str, thorough: bool, shown: list[tuple[str, ...]]
) -> None:
    looked = Looked(found_in)
    report = match_cascade(looked, looked.look, thorough=thorough)  # type: ignore[arg-type]
    assert looked.shown == shown
    assert report.decision == ("no_match" if found_in == "nowhere" else "copy")


@pytest.mark.parametrize("refuted", [False, True])
@pytest.mark.parametrize("found_in", ["identity", "nowhere"])
def test_only_a_copy_before_and_after_the_comparison_of_pictures_needs_no_second_pass(
    found_in: str, refuted: bool
) -> None:
    def compare(report: MatchReport) -> MatchReport:
        compared.append(report)
        return report.with_matches([match(0.05 if refuted else 0.95)], looked.policies)

    compared: list[MatchReport] = []
    looked = Looked(found_in)
    report = match_cascade(looked, looked.look, compare=compare)  # type: ignore[arg-type]
    if found_in == "identity" and not refuted:
        assert looked.shown == [("identity",)]
    else:
        assert looked.shown == [("identity",), ("identity", "left")]
    assert report.decision == ("no_match" if refuted else "copy")
    assert len(compared) == (2 if found_in == "identity" and refuted else 1)
