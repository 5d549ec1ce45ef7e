"""All measures of a set of rows in one object, for tables and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from evaluation.measures.calibration import (
    Decisions,
    answers,
    decisions,
    expected_calibration_error,
    lookalikes_accepted,
    lookalikes_to_review,
    reliability,
)
from evaluation.measures.detection import micro_ap, pooled, recall_at_fpr, recall_at_precision
from evaluation.measures.ranking import Separation, recall_at, separation
from evaluation.measures.segment_ap import segment_ap
from evaluation.measures.statistics import Proportion
from evaluation.measures.temporal_iou import RangeSummary, summarise_ranges
from evaluation.records import QueryRow

By: TypeAlias = tuple[Literal["transform", "group"], ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """The measures of one configuration of one profile over some transforms.

    group, transform: common to all rows, empty if several were pooled. failed: rows whose query could
    not be made or read. Without data, shares are empty and other numbers NaN: ranking needs rows that
    search the whole catalogue, all other measures rows that search a half.
    """

    configuration: str
    profile: str
    group: str
    transform: str
    rows: int
    failed: int
    recall_at_1: Proportion
    recall_at_3: Proportion
    recall_at_5: Proportion
    separation: Separation
    recall_at_fpr_1e2: Proportion
    recall_at_fpr_1e3: Proportion
    recall_at_fpr_1e4: Proportion
    recall_at_precision_90: Proportion
    uap: float
    calibration_error: float
    decisions: Decisions
    lookalikes_accepted: Proportion
    lookalikes_to_review: Proportion
    ranges: RangeSummary
    segment_uap: float


def summarise(rows: Iterable[QueryRow], by: By = ()) -> tuple[Summary, ...]:
    """One summary per configuration, profile and value of `by`, in the order of their first rows.

    by: ("transform",), ("group",) or () to pool all transforms. Negatives come from the same rows, so a
    false-positive rate is that of the pooled transforms.
    """
    parts: dict[tuple[str, str, str, str], list[QueryRow]] = {}
    for row in rows:
        group = row.group if by else ""
        transform = row.transform if "transform" in by else ""
        parts.setdefault((row.configuration, row.profile, group, transform), []).append(row)
    return tuple(_summary(*key, part) for key, part in parts.items())


def _summary(
    configuration: str, profile: str, group: str, transform: str, rows: Sequence[QueryRow]
) -> Summary:
    predictions = pooled(rows)
    return Summary(
        configuration=configuration,
        profile=profile,
        group=group,
        transform=transform,
        rows=len(rows),
        failed=sum(bool(row.error) for row in rows),
        recall_at_1=recall_at(rows, 1),
        recall_at_3=recall_at(rows, 3),
        recall_at_5=recall_at(rows, 5),
        separation=separation(rows),
        recall_at_fpr_1e2=recall_at_fpr(rows, 1e-2),
        recall_at_fpr_1e3=recall_at_fpr(rows, 1e-3),
        recall_at_fpr_1e4=recall_at_fpr(rows, 1e-4),
        recall_at_precision_90=recall_at_precision(predictions, 0.9),
        uap=micro_ap(predictions),
        calibration_error=expected_calibration_error(reliability(*answers(rows))),
        decisions=decisions(rows),
        lookalikes_accepted=lookalikes_accepted(rows),
        lookalikes_to_review=lookalikes_to_review(rows),
        ranges=summarise_ranges(rows),
        segment_uap=segment_ap(rows),
    )
