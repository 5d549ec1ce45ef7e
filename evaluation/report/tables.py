"""Tables of summaries and rows. Shares are percentages with one decimal and their 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from common.errors import UsageError
from evaluation.measures.grouping import by_label
from evaluation.measures.outcomes import OUTCOMES
from evaluation.measures.pairing import pair
from evaluation.measures.registry import MEASURES, Measure, Value
from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import Summary
from evaluation.records import QueryRow
from evaluation.report.table import Column, Table

_T = TypeVar("_T")

NOTHING = "–"
"""The cell for "not measured"."""

ROBUSTNESS = ("recall_at_1", "recall_at_fpr_1e2", "uap", "copies_accepted")
RANKING = ("recall_at_1", "recall_at_3", "recall_at_5")
SEPARATION = (
    "copy_similarity",
    "stranger_similarity",
    "d_prime",
    "recall_at_1",
    "recall_at_fpr_1e2",
    "recall_at_fpr_1e3",
)
DECISIONS = (
    "copies_accepted",
    "copies_to_review",
    "copies_missed",
    "copies_with_wrong",
    "strangers_accepted",
    "strangers_to_review",
    "calibration_error",
)
DISTRACTORS = (
    "recall_at_1",
    "recall_at_fpr_1e2",
    "recall_at_fpr_1e3",
    "recall_at_fpr_1e4",
    "copies_accepted",
    "copies_missed",
    "strangers_accepted",
    "strangers_to_review",
    "calibration_error",
)
SECOND_OPINION = ("recall_at_1", "recall_at_fpr_1e2", "copies_accepted", "strangers_accepted")
LOOKALIKES = ("lookalikes_accepted", "lookalikes_to_review")
RANGES = ("range_iou", "good_ranges", "segment_uap")


@dataclass(frozen=True, slots=True)
class Target:
    """A goal and the measured value. goal: None if the value is only reported. at_least: the goal is a
    minimum, else a maximum."""

    what: str
    profile: str
    measured: Value
    goal: float | None = None
    at_least: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal, False if not measured."""
        value = _number(self.measured)
        if self.goal is None:
            return None
        return value >= self.goal if self.at_least else value <= self.goal


def percent(value: float) -> str:
    """One decimal, without the percent sign."""
    return NOTHING if math.isnan(value) else f"{100 * value:.1f}"


def share(value: Proportion) -> str:
    """`99.8 [98.1, 100.0]`: percentages, Wilson's interval in brackets."""
    if not value.total:
        return NOTHING
    low, high = value.interval
    return f"{percent(value.value)} [{percent(low)}, {percent(high)}]"


def number(value: float, digits: int = 3) -> str:
    """A number that is not a share."""
    if math.isnan(value):
        return NOTHING
    return f"{value:.{digits}f}" if math.isfinite(value) else ("∞" if value > 0 else "−∞")


def p_value(value: float) -> str:
    """Three decimals, never 0.000."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def per_transform(
    summaries: Sequence[Summary], measures: Sequence[str] = ROBUSTNESS, caption: str = ""
) -> Table:
    """A row per transform (or group, if the summaries are by group), with the measures of each profile
    and configuration side by side. Rules separate the groups."""
    chosen = _look_up(measures)
    labels = by_label(summaries)
    lines = _unique((summary.group, summary.transform) for summary in summaries)
    by_cell = {
        (summary.group, summary.transform, label): summary
        for label, part in labels.items()
        for summary in part
    }
    by_transform = any(transform for _, transform in lines)
    rows = [
        (
            transform or group or "all",
            *(
                cell(by_cell.get((group, transform, label)), measure)
                for label in labels
                for measure in chosen
            ),
        )
        for group, transform in lines
    ]
    return Table(
        caption or ("Transform by transform" if by_transform else "Group by group"),
        (
            Column("transform" if by_transform else "group", code=by_transform),
            *(
                Column(measure.title, label if len(labels) > 1 else "")
                for label in labels
                for measure in chosen
            ),
        ),
        tuple(rows),
        _breaks([group for group, _ in lines]) if by_transform else frozenset(),
    )


def per_configuration(
    summaries: Sequence[Summary], measures: Sequence[str] = SEPARATION, caption: str = ""
) -> Table:
    """A row per profile and configuration; with a column for the group if there are several."""
    chosen = _look_up(measures)
    several = len({summary.group for summary in summaries}) > 1
    return Table(
        caption or "Configurations",
        (
            Column("configuration", code=True),
            *([Column("group")] if several else []),
            *(Column(measure.title) for measure in chosen),
        ),
        tuple(
            (
                label,
                *([summary.group or "all"] if several else []),
                *(cell(summary, measure) for measure in chosen),
            )
            for label, part in by_label(summaries).items()
            for summary in part
        ),
    )


def fusion(summaries: Sequence[Summary]) -> Table:
    """The effect of a fusion on copies *and* on non-matches: similarity of both, and separation."""
    return per_configuration(
        summaries,
        SEPARATION,
        "Mean similarity of copies and of the best non-matches, and their separation",
    )


def ablation(rows: Iterable[QueryRow], outcome: str = "recall_at_1", caption: str = "") -> Table:
    """Configurations by groups: the share of queries with the outcome, and McNemar's p against the first
    configuration over their common queries.

    Raises UsageError for an outcome that is not in OUTCOMES, or for a query with two rows.
    """
    if outcome not in OUTCOMES:
        raise UsageError(f"no outcome {outcome!r}; there are {', '.join(OUTCOMES)}")
    measured = OUTCOMES[outcome]
    parts: dict[str, dict[str, list[QueryRow]]] = {}
    for label, part in by_label(rows).items():
        for row in part:
            parts.setdefault(label, {}).setdefault(row.group, []).append(row)
    groups = _unique(group for by_group in parts.values() for group in by_group)
    results = {
        label: {group: measured.of(by_group.get(group, [])) for group in groups}
        for label, by_group in parts.items()
    }
    first = next(iter(results.values()), {})

    def cells(label: str, group: str) -> tuple[str, str]:
        outcomes = results[label][group]
        paired = pair(first[group], outcomes)
        against = outcomes is not first[group] and paired.total
        return (
            share(Proportion(sum(outcomes.values()), len(outcomes))),
            p_value(paired.p_value) if against else NOTHING,
        )

    return Table(
        caption
        or f"{measured.title[0].upper()}{measured.title[1:]} by configuration; p against the first",
        (
            Column("configuration", code=True),
            *(Column(title, group) for group in groups for title in (f"{measured.title}, %", "p")),
        ),
        tuple(
            (label, *(cell for group in groups for cell in cells(label, group)))
            for label in results
        ),
    )


def targets(goals: Sequence[Target]) -> Table:
    """Goals and measured values: a row per goal and a column group per profile."""
    profiles = _unique(goal.profile for goal in goals)
    by_profile = {(goal.what, goal.profile): goal for goal in goals}

    def cells(goal: Target | None) -> tuple[str, str, str]:
        if goal is None:
            return NOTHING, NOTHING, NOTHING
        is_share = isinstance(goal.measured, Proportion)
        measured = (
            share(goal.measured) if isinstance(goal.measured, Proportion) else number(goal.measured)
        )
        if goal.goal is None:
            return measured, NOTHING, NOTHING
        limit = f"{100 * goal.goal:.4g}" if is_share else f"{goal.goal:.4g}"
        return measured, f"{'≥' if goal.at_least else '≤'} {limit}", "yes" if goal.met else "no"

    return Table(
        "Goals",
        (
            Column("goal"),
            *(
                Column(head, profile)
                for profile in profiles
                for head in ("measured", "wanted", "met")
            ),
        ),
        tuple(
            (
                name,
                *(cell for profile in profiles for cell in cells(by_profile.get((name, profile)))),
            )
            for name in _unique(goal.what for goal in goals)
        ),
    )


def _look_up(names: Sequence[str]) -> list[Measure]:
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise UsageError(f"no measure {unknown[0]!r}; there are {', '.join(MEASURES)}")
    return [MEASURES[name] for name in names]


def cell(summary: Summary | None, measure: Measure) -> str:
    """The table cell of a measure; NOTHING without a summary."""
    if summary is None:
        return NOTHING
    value = measure.of(summary)
    return share(value) if isinstance(value, Proportion) else number(value, measure.digits)


def _number(value: Value) -> float:
    return value.value if isinstance(value, Proportion) else value


def _breaks(groups: Sequence[str]) -> frozenset[int]:
    return frozenset(i for i in range(1, len(groups)) if groups[i] != groups[i - 1])


def _unique(values: Iterable[_T]) -> list[_T]:
    """In the order of their first appearance."""
    return list(dict.fromkeys(values))
