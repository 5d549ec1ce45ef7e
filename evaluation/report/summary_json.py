"""Summaries as JSON, for `--json`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from evaluation.measures.registry import MEASURES, Value
from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import Summary


def summary_to_json(summary: Summary) -> dict[str, Any]:
    """The common fields of the rows, their number, and every measure by its name.

    A share is {"value", "count", "total", "low", "high"} with Wilson's 95 % interval; null means not
    measured.
    """
    return {
        "profile": summary.profile,
        "configuration": summary.configuration,
        "group": summary.group,
        "rows": summary.rows,
        "failed": summary.failed,
        **{name: value_to_json(measure.of(summary)) for name, measure in MEASURES.items()},
    }


def summaries_to_json(summaries: Iterable[Summary]) -> list[dict[str, Any]]:
    """JSON of each summary."""
    return [summary_to_json(summary) for summary in summaries]


def value_to_json(value: Value) -> dict[str, Any] | float | None:
    """JSON of a share or number; None if it was not measured or is infinite."""
    if not isinstance(value, Proportion):
        return round(value, 6) if math.isfinite(value) else None
    if not value.total:
        return None
    low, high = value.interval
    return {
        "value": round(value.value, 6),
        "count": value.count,
        "total": value.total,
        "low": round(low, 6),
        "high": round(high, 6),
    }
