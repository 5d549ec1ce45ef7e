"""What a calibration is fitted on: for every query the best candidates through each view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.types import BoolArray, Float64Array, Int64Array
from evaluation.experiment.protocol import Dataset, Query
from evaluation.methods.storyhash import MatcherMethod
from searcher.matching.calibration import Calibration

# What a view costs is told by the best non-matches it shows; the others say nothing.
_BEST_OF_VIEW = 3


@dataclass(frozen=True, slots=True)
class Samples:
    """N pairs of a view and a video, of all answers.

    answer: int64 (N,), which query asked of which catalogue. right: bool (N,), whether the video is what
    the query was made of. view: int64 (N,), of `views`. score, seconds: float64 (N,), of the best run.
    strangers, count: float64 (N,), mean score of the query's non-matches through the view, and how many.
    fold: int64 (answers,). absent: bool (answers,), whether the catalogue holds no right video.
    """

    views: tuple[str, ...]
    answer: Int64Array
    right: BoolArray
    view: Int64Array
    score: Float64Array
    seconds: Float64Array
    strangers: Float64Array
    count: Float64Array
    fold: Int64Array
    absent: BoolArray

    def without(self, fold: int) -> Samples:
        """Those of all other folds."""
        kept = self.fold[self.answer] != fold
        return replace(self, **{name: getattr(self, name)[kept] for name in _COLUMNS})


_COLUMNS = ("answer", "right", "view", "score", "seconds", "strangers", "count")


def gather_samples(
    queries: Iterable[Query],
    dataset: Dataset,
    answers: MatcherMethod,
    calibration: Calibration,
) -> Samples:
    """Ask every query of the half that holds its family and of the other; look closely each time.

    calibration: decides which videos are compared and where runs end, not how they are scored. Partners
    are neither right nor wrong and are left out.
    """
    views: dict[str, int] = {}
    rows: list[tuple[int, bool, int, float, float, float, int]] = []
    folds: list[int] = []
    absent: list[bool] = []
    for query in queries:
        seen = query.load()
        if seen.error:
            continue
        look = answers.looks(seen.query)
        asked = look("first").joined(look("closer"))
        for name, videos in dataset.catalogues(query):
            if name == "all" or not asked.informative.any():
                continue
            matcher = answers.matcher(videos, calibration)
            answer = len(folds)
            folds.append(query.fold)
            absent.append(name == "without")
            for video_id, evidence in matcher.evidence(asked, best_of_view=_BEST_OF_VIEW).items():
                kind = dataset.relation(query.video, video_id, seen.partners)
                if kind == "partner":
                    continue
                rows += [
                    (
                        answer,
                        kind in ("self", "copy"),
                        views.setdefault(one.view, len(views)),
                        one.runs[0].score,
                        one.runs[0].seconds,
                        one.background.mean,
                        one.background.count,
                    )
                    for one in evidence
                ]
    return _samples(tuple(views), rows, folds, absent)


def _samples(
    views: tuple[str, ...],
    rows: Sequence[tuple[int, bool, int, float, float, float, int]],
    folds: Sequence[int],
    absent: Sequence[bool],
) -> Samples:
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.zeros(0)] * 7
    kinds = (np.int64, np.bool_, np.int64, np.float64, np.float64, np.float64, np.float64)
    named = dict(zip(_COLUMNS, columns, strict=True))
    return Samples(
        views,
        **{
            name: column.astype(kind)
            for (name, column), kind in zip(named.items(), kinds, strict=True)
        },
        fold=np.array(folds, dtype=np.int64),
        absent=np.array(absent, dtype=bool),
    )
