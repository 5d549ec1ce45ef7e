"""What would be accepted at other probabilities than the policy's."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.data.records import QueryRow
from evaluation.measures.relevance import best_right, best_wrong, negatives, positives, score_of
from evaluation.measures.statistics import Proportion
from evaluation.report.table import Column, Table
from evaluation.report.tables import share

_BARS = (0.5, 0.7, 0.75, 0.8, 0.9, 0.95, 0.97, 0.99)


def bars(rows: Sequence[QueryRow]) -> Table:
    """Copies and non-matches of the open set that reach each of some probabilities."""
    right = [score_of(best_right(row))[0] for row in positives(rows)]
    wrong = [score_of(best_wrong(row))[0] for row in negatives(rows)]
    return Table(
        "Other bars",
        (Column("copy from"), Column("copies accepted, %"), Column("strangers accepted, %")),
        tuple(
            (
                f"{bar:g}",
                share(Proportion(sum(one >= bar for one in right), len(right))),
                share(Proportion(sum(one >= bar for one in wrong), len(wrong))),
            )
            for bar in _BARS
        ),
    )
