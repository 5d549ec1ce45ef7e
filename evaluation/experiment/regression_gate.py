"""Whether a change made detection worse on a user's own catalogue: two runs, compared.

For each group of transforms, and over all of them, three recalls and the false positives are
compared (see `OUTCOMES`). What is called worse, or better, is beyond chance at 5 %, one-sided:

- The same queries in both runs: exact McNemar. Only queries whose outcome changed count; of those
lost and
  those gained, so many lost are less likely than 5 % where either is as likely. One query lost is never
  enough, five lost and none gained are.
- Other queries (not one in common): Newcombe's interval for the difference of two independent shares; its
  90 % interval leaves 5 % on either side, and lies wholly below, or above, zero.

Recall at a fixed rate of false positives uses each run's own threshold, which is taken as given.
Each check stands for itself: of many, one in twenty may be called worse by chance where a run is
repeated on *other* queries. Queries made of one video are not independent, so a video that is lost
under many transforms counts for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from common.errors import UsageError
from evaluation.data.records import QueryRow
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

    paired: the outcomes of the same queries, p: the one-sided chance of what was seen in the direction it
    went; or interval: of current - baseline, where the queries are others.
    """

    group: str
    measure: str
    more_is_worse: bool
    baseline: Proportion
    current: Proportion
    verdict: Verdict
    paired: PairedOutcomes | None = None
    p: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class GateReport:
    """All checks. baseline, current: profile and configuration of each run; ignored: queries of the
    current run that the baseline lacks."""

    baseline: str
    current: str
    checks: tuple[Check, ...]
    ignored: int = 0

    @property
    def worse(self) -> tuple[Check, ...]:
        """What got worse beyond chance; empty when the gate is open."""
        return tuple(check for check in self.checks if check.verdict == "worse")

    def to_markdown(self) -> str:
        """The verdict in a line, then every check."""
        count = len(self.worse)
        head = (
            f"**{count} of {len(self.checks)} checks got worse** beyond chance"
            if count
            else f"None of {len(self.checks)} checks got worse beyond chance"
        )
        against = f"`{self.current}` against `{self.baseline}`"
        extra = (
            f" {self.ignored} queries that the baseline lacks are left out." if self.ignored else ""
        )
        return f"{head}: {against}.{extra}\n\n{self.to_table().to_markdown()}"

    def to_json(self) -> dict[str, Any]:
        """The verdict and every check, shares as `value_to_json` writes them."""
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

    UsageError where a run is empty or mixes configurations, where the current run asks only some of the
    baseline's queries, or, when it asks others, where it lacks a group of them.
    """
    before, after = list(baseline), list(current)
    names = _one_label("baseline", before), _one_label("current run", after)
    old, new = by_query(before), by_query(after)
    same_queries = not old.keys().isdisjoint(new)
    if same_queries:
        _check_complete(old, new)
        after = [new[key] for key in old]
    groups = list(dict.fromkeys(row.group for row in before))
    checks: list[Check] = []
    for group in [*groups, OVERALL] if len(groups) > 1 else groups:
        mine = [row for row in before if group in (row.group, OVERALL)]
        theirs = [row for row in after if group in (row.group, OVERALL)]
        if not theirs:
            raise UsageError(f"the current run has no rows of the group {group!r}; run it in full")
        for outcome in OUTCOMES.values():
            checks += _check(group, outcome, outcome.of(mine), outcome.of(theirs), same_queries)
    return GateReport(*names, tuple(checks), len(new) - len(old) if same_queries else 0)


def _check(
    group: str,
    outcome: Outcome,
    before: Mapping[QueryKey, bool],
    after: Mapping[QueryKey, bool],
    same_queries: bool,
) -> list[Check]:
    """One check, or none where either run has nothing to measure."""
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
            outcome.more_is_worse,
            first,
            second,
            _verdict(change, outcome),
            interval=(low, high),
        )
    ]


def _paired(group: str, outcome: Outcome, outcomes: PairedOutcomes) -> list[Check]:
    if not outcomes.total:
        return []
    gained, lost = outcomes.second_only, outcomes.first_only
    p = mcnemar_more(max(gained, lost), gained + lost)
    change = 0 if p >= ALPHA else 1 if gained > lost else -1
    return [
        Check(
            group,
            outcome.title,
            outcome.more_is_worse,
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
    """Points of a percentage, with the sign that is not a hyphen."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def _evidence(check: Check) -> str:
    if check.paired is not None and check.p is not None:
        changed = f"+{check.paired.second_only}, −{check.paired.first_only} queries"
        return f"{changed}; p {p_value(check.p)}"
    low, high = check.interval or (0.0, 0.0)
    return f"[{_signed(low)}, {_signed(high)}]"


def _one_label(what: str, rows: Sequence[QueryRow]) -> str:
    labels = sorted({label_of(row) for row in rows})
    if len(labels) != 1:
        got = ", ".join(labels) if labels else "no rows"
        raise UsageError(f"{what}: expected rows of one configuration and profile, got {got}")
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
