"""The goals, set before the first measurement: by profile, None if the value is only reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from evaluation.measures.registry import MEASURES, Value
from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import summarise
from evaluation.records import QueryRow
from evaluation.report.table import Column, Table
from evaluation.report.tables import NOTHING, Target, share

RANGE_TRANSFORMS = (
    *("trim_start", "trim_end", "trim_middle", "excerpt_3", "excerpt_5", "insert_3", "insert_5"),
)
"""Trims, and excerpts and inserts of 3 s and more: the transforms whose time ranges are measured."""


@dataclass(frozen=True, slots=True)
class MeasureTarget:
    """A goal for a measure of some of the rows. wanted: by profile."""

    what: str
    rows: Callable[[QueryRow], bool]
    measure: str
    wanted: Mapping[str, float | None]
    at_least: bool = True

    def measured(self, rows: Iterable[QueryRow]) -> Value:
        """The value over its rows; an empty share without rows."""
        summaries = summarise(row for row in rows if self.rows(row))
        return MEASURES[self.measure].of(summaries[0]) if summaries else Proportion(0, 0)


def _both(sscd: float | None, offline: float | None) -> dict[str, float | None]:
    return {"sscd-motion": sscd, "offline": offline}


def _group(name: str) -> Callable[[QueryRow], bool]:
    return lambda row: row.group == name


def _of(*transforms: str) -> Callable[[QueryRow], bool]:
    return lambda row: row.transform in transforms


def _all(_: QueryRow) -> bool:
    return True


GOALS = (
    MeasureTarget("the paper's 14: Recall@1", _group("paper"), "recall_at_1", _both(0.998, 0.99)),
    MeasureTarget("flip_v: Recall@1", _of("flip_v"), "recall_at_1", _both(0.998, 0.99)),
    MeasureTarget("photometric: Recall@1", _group("photometric"), "recall_at_1", _both(0.99, 0.95)),
    MeasureTarget(
        "photometric: recall at 1 % FPR",
        _group("photometric"),
        "recall_at_fpr_1e2",
        _both(0.99, 0.90),
    ),
    MeasureTarget("composed: Recall@1", _group("composed"), "recall_at_1", _both(0.97, None)),
    MeasureTarget(
        "composed: recall at 1 % FPR", _group("composed"), "recall_at_fpr_1e2", _both(0.94, None)
    ),
    MeasureTarget("temporal: Recall@1", _group("temporal"), "recall_at_1", _both(0.99, 0.95)),
    MeasureTarget(
        "temporal: recall at 1 % FPR", _group("temporal"), "recall_at_fpr_1e2", _both(0.97, 0.90)
    ),
    MeasureTarget(
        "trims, and inserts of 3 s and more: range IoU >= 0.8",
        _of(*RANGE_TRANSFORMS),
        "good_ranges",
        _both(0.95, 0.85),
    ),
    MeasureTarget(
        "copies made by others: found first", _of("copy"), "recall_at_1", _both(1.0, 1.0)
    ),
    MeasureTarget(
        "look-alikes: accepted", _of("lookalike"), "lookalikes_accepted", _both(0.0, 0.0), False
    ),
    MeasureTarget(
        "made look-alikes: accepted",
        _of("made_lookalike"),
        "lookalikes_accepted",
        _both(0.0, 0.0),
        False,
    ),
    MeasureTarget("all: copies accepted", _all, "copies_accepted", _both(0.97, 0.88)),
    MeasureTarget(
        "all: non-matches accepted", _all, "strangers_accepted", _both(0.002, 0.005), False
    ),
    MeasureTarget(
        "all: calibration error (ECE)", _all, "calibration_error", _both(0.03, 0.05), False
    ),
)


HEADLINES = {
    "all: copies accepted": "copies accepted",
    "all: non-matches accepted": "non-matches accepted",
    "look-alikes: accepted": "look-alikes accepted",
    "the paper's 14: Recall@1": "original found first: the paper's 14 edits",
    "photometric: Recall@1": "original found first: edits of the picture (colour, noise, rotation, text)",
    "composed: Recall@1": "original found first: edits that combine pictures",
    "temporal: Recall@1": "original found first: edits of time",
    "trims, and inserts of 3 s and more: range IoU >= 0.8": (
        "correct time range (IoU with the true range ≥ 0.8): cuts and inserts"
    ),
}
"""The goals that README.md shows, and their names there."""


def headlines(targets: Sequence[Target]) -> Table:
    """The short table of README.md: the values per profile, and which goal is missed."""
    profiles = list(dict.fromkeys(target.profile for target in targets))
    cells = {(target.what, target.profile): _headline(target) for target in targets}
    return Table(
        "How well copies are found",
        (Column("%"), *(Column(f"`{profile}`") for profile in profiles)),
        tuple(
            (title, *(cells[name, profile] for profile in profiles))
            for name, title in HEADLINES.items()
        ),
    )


def _headline(target: Target) -> str:
    measured = share(target.measured) if isinstance(target.measured, Proportion) else NOTHING
    if target.goal is None or target.met:
        return measured
    return f"{measured} (goal: {'≥' if target.at_least else '≤'} {100 * target.goal:.4g})"


def targets_of(by_profile: Mapping[str, Sequence[QueryRow]]) -> list[Target]:
    """Every goal of every profile; by_profile: rows of the shipped configuration."""
    return [
        Target(goal.what, profile, goal.measured(rows), _wanted(goal, profile), goal.at_least)
        for goal in GOALS
        for profile, rows in by_profile.items()
    ]


def _wanted(goal: MeasureTarget, profile: str) -> float | None:
    """The goal of a profile; of two profiles together, that of the first."""
    return goal.wanted.get(profile.split(",")[0])
