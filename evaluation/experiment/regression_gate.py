"""The regression gate: did a change make detection worse on the user's own videos?

It compares two runs: for each group of transforms, and over all of them, three recalls and the false
positives (see `OUTCOMES`). A check is worse, or better, if it is significant at 5 %, one-sided:

- The same queries in both runs: exact McNemar test. Only queries whose outcome changed count. One lost
  query is never significant; five lost and none gained are.
- Different queries (none in common): Newcombe's interval for the difference of two independent shares.
  The 90 % interval, which leaves 5 % on either side, must exclude zero.

Recall at a fixed false-positive rate uses the threshold of each run, and treats it as fixed. Checks are
not corrected for their number: on *different* queries, one in twenty may be worse by chance. Queries
made of one video are not independent: a video that is lost under many transforms counts for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from common.errors import UsageError
from evaluation.measures.grouping import label_of
from evaluation.measures.outcomes import OUTCOMES, Outcome
from evaluation.measures.pairing import QueryKey, by_query, pair
from evaluation.measures.statistics import (
    Z_ONE_SIDED_95,
    PairedOutcomes,
    Proportion,
    mcnemar_more,
    newcombe,
)
from evaluation.records import QueryRow
from evaluation.report.summary_json import value_to_json
from evaluation.report.table import Column, Table
from evaluation.report.tables import p_value, share

ALPHA = 0.05
OVERALL = "all"
_NAMED = 3

Verdict: TypeAlias = Literal["worse", "same", "better"]


@dataclass(frozen=True, slots=True)
class Check:
    """One measure of one group in both runs.

    For the same queries: paired, their outcomes, and p, one-sided. For different queries: interval, of
    current - baseline.
    """

    group: str
    measure: str
    baseline: Proportion
    current: Proportion
    verdict: Verdict
    paired: PairedOutcomes | None = None
    p: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class GateReport:
    """All checks. baseline, current: profile and configuration of each run; ignored: number of queries
    that only the current run has."""

    baseline: str
    current: str
    checks: tuple[Check, ...]
    ignored: int = 0

    @property
    def worse(self) -> tuple[Check, ...]:
        """The checks that got significantly worse; the gate passes if there are none."""
        return tuple(check for check in self.checks if check.verdict == "worse")

    def to_markdown(self) -> str:
        """One line with the verdict, then a table of all checks."""
        count = len(self.worse)
        head = (
            f"**{count} of {len(self.checks)} checks got significantly worse**"
            if count
            else f"None of {len(self.checks)} checks got significantly worse"
        )
        against = f"`{self.current}` against `{self.baseline}`"
        extra = (
            f" {self.ignored} queries are ignored because the baseline lacks them."
            if self.ignored
            else ""
        )
        return f"{head}: {against}.{extra}\n\n{self.to_table().to_markdown()}"

    def to_json(self) -> dict[str, Any]:
        """The verdict and every check; shares as in `value_to_json`."""
        return {
            "worse": bool(self.worse),
            "baseline": self.baseline,
            "current": self.current,
            "ignored": self.ignored,
            "checks": [
                {
                    "group": check.group,
                    "measure": check.measure,
                    "baseline": value_to_json(check.baseline),
                    "current": value_to_json(check.current),
                    "p": check.p,
                    "interval": check.interval,
                    "verdict": check.verdict,
                }
                for check in self.checks
            ],
        }

    def to_table(self) -> Table:
        columns = ("group", "measure", "baseline, %", "current, %", "difference", "evidence", "")
        return Table(
            "Against the baseline",
            tuple(map(Column, columns)),
            tuple(
                (
                    check.group,
                    check.measure,
                    share(check.baseline),
                    share(check.current),
                    _signed(check.current.value - check.baseline.value),
                    _evidence(check),
                    check.verdict,
                )
                for check in self.checks
            ),
        )


def compare(baseline: Iterable[QueryRow], current: Iterable[QueryRow]) -> GateReport:
    """Compare a run with its baseline, each of one configuration and profile.

    Raises UsageError if a run is empty or mixes configurations, if the current run has only some of the
    baseline's queries, or, with different queries, if it lacks a group.
    """
    before, after = list(baseline), list(current)
    baseline_name, current_name = _one_label("baseline", before), _one_label("current run", after)
    old, new = by_query(before), by_query(after)
    same_queries = not old.keys().isdisjoint(new)
    if same_queries:
        _check_complete(old, new)
        after = [new[key] for key in old]
    groups = list(dict.fromkeys(row.group for row in before))
    checks: list[Check] = []
    for group in [*groups, OVERALL] if len(groups) > 1 else groups:
        before_rows = [row for row in before if group in (row.group, OVERALL)]
        after_rows = [row for row in after if group in (row.group, OVERALL)]
        if not after_rows:
            raise UsageError(f"the current run has no rows of the group {group!r}; run it in full")
        for outcome in OUTCOMES.values():
            checks += _check(
                group, outcome, outcome.of(before_rows), outcome.of(after_rows), same_queries
            )
    ignored = len(new) - len(old) if same_queries else 0
    return GateReport(baseline_name, current_name, tuple(checks), ignored)


def _check(
    group: str,
    outcome: Outcome,
    before: Mapping[QueryKey, bool],
    after: Mapping[QueryKey, bool],
    same_queries: bool,
) -> list[Check]:
    """One check, or none if one of the runs has nothing to measure."""
    if same_queries:
        return _paired(group, outcome, pair(before, after))
    first, second = (Proportion(sum(run.values()), len(run)) for run in (before, after))
    if not first.total or not second.total:
        return []
    low, high = newcombe(first, second, Z_ONE_SIDED_95)
    change = 1 if low > 0 else -1 if high < 0 else 0
    return [
        Check(
            group,
            outcome.title,
            first,
            second,
            _verdict(change, outcome),
            interval=(low, high),
        )
    ]


def _paired(group: str, outcome: Outcome, outcomes: PairedOutcomes) -> list[Check]:
    if not outcomes.total:
        return []
    gained_count, lost_count = outcomes.second_only, outcomes.first_only
    p = mcnemar_more(max(gained_count, lost_count), gained_count + lost_count)
    change = 0 if p >= ALPHA else 1 if gained_count > lost_count else -1
    return [
        Check(
            group,
            outcome.title,
            outcomes.first,
            outcomes.second,
            _verdict(change, outcome),
            paired=outcomes,
            p=p,
        )
    ]


def _verdict(change: int, outcome: Outcome) -> Verdict:
    if not change:
        return "same"
    return "worse" if (change > 0) == outcome.more_is_worse else "better"


def _signed(difference: float) -> str:
    """Percentage points, with a real minus sign."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def _evidence(check: Check) -> str:
    if check.paired is not None and check.p is not None:
        changed = f"+{check.paired.second_only}, −{check.paired.first_only} queries"
        return f"{changed}; p {p_value(check.p)}"
    low, high = check.interval or (0.0, 0.0)
    return f"[{_signed(low)}, {_signed(high)}]"


def _one_label(name: str, rows: Sequence[QueryRow]) -> str:
    labels = sorted({label_of(row) for row in rows})
    if len(labels) != 1:
        actual = ", ".join(labels) if labels else "no rows"
        raise UsageError(f"{name}: expected rows of one configuration and profile, got {actual}")
    return labels[0]


def _check_complete(old: Mapping[QueryKey, QueryRow], new: Mapping[QueryKey, QueryRow]) -> None:
    missing = [key for key in old if key not in new]
    if missing:
        named = "; ".join(
            f"{transform} of {video_id} ({catalogue})"
            for catalogue, transform, video_id in missing[:_NAMED]
        )
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise UsageError(
            f"the current run lacks {len(missing)} of the baseline's {len(old)} queries: {named}{more}; "
            "run it in full, or make a new baseline"
        )
