"""The measures of a summary by name, for the columns of tables and the axes of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import Summary

Value: TypeAlias = Proportion | float


@dataclass(frozen=True, slots=True)
class Measure:
    """title: heading in tables, with the unit. digits: decimals of a number that is not a share."""

    title: str
    of: Callable[[Summary], Value]
    digits: int = 3


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "recall_at_1": Measure("Recall@1, %", lambda s: s.recall_at_1),
        "recall_at_3": Measure("Recall@3, %", lambda s: s.recall_at_3),
        "recall_at_5": Measure("Recall@5, %", lambda s: s.recall_at_5),
        "recall_at_fpr_1e2": Measure("recall at 1 % FPR, %", lambda s: s.recall_at_fpr_1e2),
        "recall_at_fpr_1e3": Measure("recall at 0.1 % FPR, %", lambda s: s.recall_at_fpr_1e3),
        "recall_at_fpr_1e4": Measure("recall at 0.01 % FPR, %", lambda s: s.recall_at_fpr_1e4),
        "recall_at_precision_90": Measure(
            "recall at 90 % precision, %", lambda s: s.recall_at_precision_90
        ),
        "uap": Measure("uAP", lambda s: s.uap),
        "copy_similarity": Measure("similarity, copies", lambda s: s.separation.copies),
        "stranger_similarity": Measure(
            "similarity, best non-matches", lambda s: s.separation.non_matches
        ),
        "d_prime": Measure("d'", lambda s: s.separation.d_prime, digits=2),
        "d_prime_logit": Measure("d' of logit", lambda s: s.separation.d_prime_logit, digits=2),
        "copies_accepted": Measure("copies accepted, %", lambda s: s.decisions.copies_accepted),
        "copies_to_review": Measure("copies to review, %", lambda s: s.decisions.copies_to_review),
        "copies_missed": Measure("copies missed, %", lambda s: s.decisions.copies_missed),
        "copies_with_wrong": Measure(
            "copies with a wrong one accepted, %", lambda s: s.decisions.copies_with_wrong
        ),
        "strangers_accepted": Measure(
            "non-matches accepted, %", lambda s: s.decisions.false_accepts
        ),
        "strangers_to_review": Measure(
            "non-matches to review, %", lambda s: s.decisions.negatives_to_review
        ),
        "lookalikes_accepted": Measure("look-alikes accepted, %", lambda s: s.lookalikes_accepted),
        "lookalikes_to_review": Measure(
            "look-alikes to review, %", lambda s: s.lookalikes_to_review
        ),
        "calibration_error": Measure("ECE", lambda s: s.calibration_error),
        "range_iou": Measure("range IoU", lambda s: s.ranges.combined),
        "good_ranges": Measure("range IoU >= 0.8, %", lambda s: s.ranges.good),
        "segment_uap": Measure("segment uAP", lambda s: s.segment_uap),
    }
)
