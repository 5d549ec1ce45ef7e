"""The table of other thresholds than that of the policy."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.measures.relevance import best_right, best_wrong, negatives, positives, score_of
from evaluation.measures.statistics import Proportion
from evaluation.records import QueryRow
from evaluation.report.table import Column, Table
from evaluation.report.tables import share

_THRESHOLDS = (0.5, 0.7, 0.75, 0.8, 0.9, 0.95, 0.97, 0.99)


def threshold_table(rows: Sequence[QueryRow]) -> Table:
    """Shares of copies and of non-matches of the open set at or above each threshold."""
    right = [score_of(best_right(row))[0] for row in positives(rows)]
    wrong = [score_of(best_wrong(row))[0] for row in negatives(rows)]
    return Table(
        "Other thresholds",
        (Column("threshold"), Column("copies accepted, %"), Column("non-matches accepted, %")),
        tuple(
            (
                f"{threshold:g}",
                share(Proportion(sum(value >= threshold for value in right), len(right))),
                share(Proportion(sum(value >= threshold for value in wrong), len(wrong))),
            )
            for threshold in _THRESHOLDS
        ),
    )
