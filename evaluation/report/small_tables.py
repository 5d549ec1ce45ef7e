"""Small tables: a calibration before and after a fit, and the latency of a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluation.measures.registry import MEASURES
from evaluation.measures.summary import Summary
from evaluation.report.table import Column, Table
from evaluation.report.tables import NOTHING, cell

_CASES = {"stranger": "non-match"}


def before_and_after(before: Summary, after: Summary, measures: Sequence[str]) -> Table:
    """A row per measure: under the calibration in force, and cross-validated."""
    return Table(
        "The calibration in force, and the new one in cross-validation",
        (Column("measure"), Column("before"), Column("after")),
        tuple(
            (MEASURES[name].title, *(cell(summary, MEASURES[name]) for summary in (before, after)))
            for name in measures
        ),
    )


def stage_times(cases: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row per stage, the total last, and a column per case; milliseconds. cases: seconds by case and
    stage. Results name a non-match `stranger`, and a pass `look`."""
    names = sorted(
        dict.fromkeys(name for stages in cases.values() for name in stages),
        key=lambda name: name == "total",
    )

    def cells(name: str) -> Iterator[str]:
        for stages in cases.values():
            spent = stages.get(name)
            yield NOTHING if spent is None else f"{1000 * spent:.1f}"

    return Table(
        "Milliseconds of a query by stage",
        (Column("stage"), *(Column(f"{_CASES.get(case, case)}, ms") for case in cases)),
        tuple((name.replace(" look:", " pass:"), *cells(name)) for name in names),
    )
