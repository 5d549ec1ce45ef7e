"""The regression gate: passes equal runs, fails significantly worse ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from evaluation.experiment.regression_gate import GateReport, compare
from evaluation.measures.statistics import Proportion
from evaluation.records import QueryRow
from tests.support.evaluation_rows import found, row


def run(
    first: int, accepted: int, negatives: int, of: int = 20, prefix: str = "v", group: str = "paper"
) -> list[QueryRow]:
    """`of` queries of each catalogue: so many right first, copies accepted, negatives accepted."""
    rows = []
    for n in range(of):
        named: dict[str, Any] = {"video_id": f"{prefix}{n}", "group": group}
        wrong = found("stranger", 0.95 if n < negatives else 0.1)
        rows += [
            row("all", found("self", 0.9 if n < first else 0.3), found("stranger", 0.5), **named),
            row("with", found("self", 0.95 if n < accepted else 0.3), **named),
            row("without", wrong, **named),
        ]
    return rows


def worse(report: GateReport) -> list[tuple[str, str]]:
    return [(check.group, check.measure) for check in report.worse]


def test_one_query_lost_is_chance_and_five_are_not() -> None:
    assert worse(compare(run(20, 20, 0), run(19, 20, 0))) == []
    assert worse(compare(run(20, 20, 0), run(16, 20, 0))) == []  # 1 / 16
    assert worse(compare(run(20, 20, 0), run(15, 20, 0))) == [("paper", "Recall@1")]  # 1 / 32


def test_what_is_gained_is_not_worse() -> None:
    report = compare(run(10, 20, 0), run(20, 20, 0))
    (check,) = [check for check in report.checks if check.measure == "Recall@1"]
    assert check.verdict == "better"
    assert (check.baseline, check.current) == (Proportion(10, 20), Proportion(20, 20))
    assert check.p == pytest.approx(2**-10)
    assert report.worse == ()


def test_more_negatives_accepted_is_worse() -> None:
    report = compare(run(20, 20, 0), run(20, 20, 6))
    assert ("paper", "non-matches accepted") in worse(report)
    assert ("paper", "copies accepted") not in worse(report)
    better = compare(run(20, 20, 6), run(20, 20, 0))
    assert worse(better) == []


def test_recall_at_a_fixed_rate_sees_negatives_rise_though_every_copy_is_still_accepted() -> None:
    # Nothing accepted changes, but negatives now score as high as copies do.
    before = run(20, 20, 0)
    after = [
        row("without", found("stranger", 0.96, decision="review"), video_id=one.video_id)
        if one.catalogue == "without"
        else one
        for one in before
    ]
    assert worse(compare(before, after)) == [("paper", "recall at 1 % FPR")]


def test_each_group_and_all_of_them_are_checked() -> None:
    before = run(20, 20, 0) + run(20, 20, 0, group="temporal", prefix="t")
    after = run(20, 20, 0) + run(10, 20, 0, group="temporal", prefix="t")
    report = compare(before, after)
    assert worse(report) == [("temporal", "Recall@1"), ("all", "Recall@1")]
    assert len(report.checks) == 3 * 4


def test_other_films_are_compared_by_intervals() -> None:
    assert worse(compare(run(20, 20, 0), run(18, 20, 0, prefix="w"))) == []
    report = compare(run(20, 20, 0), run(10, 20, 0, prefix="w"))
    assert worse(report) == [("paper", "Recall@1")]
    (check,) = report.worse
    assert check.interval is not None
    assert check.interval[1] < 0
    assert check.paired is None


def test_a_run_that_lacks_queries_is_refused() -> None:
    with pytest.raises(UsageError, match=r"lacks 3 of the baseline's 60 .* crop_10 of v19 \(all\)"):
        compare(run(20, 20, 0), run(19, 19, 0, of=19))


def test_queries_that_the_baseline_lacks_are_left_out_and_counted() -> None:
    report = compare(run(20, 20, 0), run(20, 20, 0, of=22))
    assert report.ignored == 6
    assert {check.current.total for check in report.checks} == {20}
    assert "6 queries are ignored because the baseline lacks them" in report.to_markdown()


def test_other_films_must_cover_the_same_groups() -> None:
    with pytest.raises(UsageError, match="no rows of the group 'paper'"):
        compare(run(20, 20, 0), run(20, 20, 0, prefix="w", group="temporal"))


def test_a_run_is_of_one_configuration() -> None:
    mixed = [*run(1, 1, 0), row("all", configuration="other")]
    with pytest.raises(UsageError, match=r"baseline: expected rows of one .* offline, other"):
        compare(mixed, mixed)
    with pytest.raises(UsageError, match=r"current run: expected .*, got no rows"):
        compare(run(1, 1, 0), [])


def test_the_report_reads_well() -> None:
    lines = compare(run(20, 20, 0), run(15, 20, 0)).to_markdown().splitlines()
    assert lines[0] == (
        "**1 of 4 checks got significantly worse**: `offline, default` against `offline, default`."
    )
    assert (
        "| paper | Recall@1 | 100.0 [83.9, 100.0] | 75.0 [53.1, 88.8] | −25.0 | "
        "+0, −5 queries; p 0.031 | worse |"
    ) in lines


outcomes = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=8)


def made(of: list[tuple[bool, bool, bool]]) -> list[QueryRow]:
    rows = []
    for n, (first, accepted, stranger) in enumerate(of):
        name = str(n)
        rows += [
            row("all", found("self" if first else "stranger", 0.9), video_id=name),
            row("with", found("self", 0.95 if accepted else 0.1), video_id=name),
            row("without", found("stranger", 0.95 if stranger else 0.1), video_id=name),
        ]
    return rows


@settings(deadline=None)
@given(outcomes)
def test_identical_rows_pass(of: list[tuple[bool, bool, bool]]) -> None:
    report = compare(made(of), made(of))
    assert {check.verdict for check in report.checks} == {"same"}
    assert len(report.checks) == 4


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(0, 20))
def test_worse_one_way_is_better_the_other(before: int, after: int) -> None:
    there = compare(run(before, 20, 0), run(after, 20, 0)).checks[0].verdict
    back = compare(run(after, 20, 0), run(before, 20, 0)).checks[0].verdict
    assert (there, back) in {("same", "same"), ("worse", "better"), ("better", "worse")}
