"""Yes-or-no measures of each query, for paired comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from evaluation.measures.calibration import copy_decision, wrong_decision
from evaluation.measures.detection import accepted_at_fpr
from evaluation.measures.pairing import QueryKey, by_query
from evaluation.measures.ranking import closed_set, within
from evaluation.measures.relevance import negatives, positives
from evaluation.records import QueryRow


@dataclass(frozen=True, slots=True)
class Outcome:
    """A yes-or-no measure of the rows of one configuration. more_is_worse: true for false positives."""

    title: str
    of: Callable[[Sequence[QueryRow]], dict[QueryKey, bool]]
    more_is_worse: bool = False


def _right_first(rows: Sequence[QueryRow]) -> dict[QueryKey, bool]:
    return {key: within(row, 1) for key, row in by_query(closed_set(rows)).items()}


def _copy_accepted(rows: Sequence[QueryRow]) -> dict[QueryKey, bool]:
    return {key: copy_decision(row) == "copy" for key, row in by_query(positives(rows)).items()}


def _above_negatives(rows: Sequence[QueryRow]) -> dict[QueryKey, bool]:
    accepted = accepted_at_fpr(rows, 1e-2)
    return dict(zip(by_query(positives(rows)), accepted, strict=True)) if accepted else {}


def _negative_accepted(rows: Sequence[QueryRow]) -> dict[QueryKey, bool]:
    return {key: wrong_decision(row) == "copy" for key, row in by_query(negatives(rows)).items()}


OUTCOMES: Mapping[str, Outcome] = MappingProxyType(
    {
        "recall_at_1": Outcome("Recall@1", _right_first),
        "copies_accepted": Outcome("copies accepted", _copy_accepted),
        "recall_at_fpr_1e2": Outcome("recall at 1 % FPR", _above_negatives),
        "strangers_accepted": Outcome(
            "non-matches accepted", _negative_accepted, more_is_worse=True
        ),
    }
)
"""By the name that tables, the regression gate, JSON and the command line use."""
