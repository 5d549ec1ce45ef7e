"""Training samples of a calibration: for every query the best candidates through each view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.types import EVERYWHERE, BoolArray, Float64Array, Int64Array
from evaluation.methods.storyhash import MatcherMethod
from evaluation.protocol import Dataset, Query
from searcher.matching.scoring.calibration import Calibration

# Candidates per view. A view's offset depends on its best non-matches only.
_BEST_OF_VIEW = 3


@dataclass(frozen=True, slots=True)
class Samples:
    """N pairs of a view and a candidate, over all answers (one per query and catalogue).

    answer: int64 (N,), index of the answer. right: bool (N,), whether the candidate is the query's
    source or a copy of it. view: int64 (N,), index into `views`. score, seconds: float64 (N,), of the
    best run. background_mean, count: float64 (N,), mean score of the query's non-matches through the
    view, and their number. fold: int64 (answers,). absent: bool (answers,), whether the catalogue
    holds no right video.
    """

    views: tuple[str, ...]
    answer: Int64Array
    right: BoolArray
    view: Int64Array
    score: Float64Array
    seconds: Float64Array
    background_mean: Float64Array
    count: Float64Array
    fold: Int64Array
    absent: BoolArray

    def without(self, fold: int) -> Samples:
        """The samples of all other folds."""
        other_folds = self.fold[self.answer] != fold
        return replace(self, **{name: getattr(self, name)[other_folds] for name in _COLUMNS})


_COLUMNS = ("answer", "right", "view", "score", "seconds", "background_mean", "count")


def gather_samples(
    queries: Iterable[Query], dataset: Dataset, method: MatcherMethod, calibration: Calibration
) -> Samples:
    """Match every query, in both passes, with the half of the videos that holds its family and with the
    other half.

    calibration: decides which videos are compared and where runs end, not how they are scored. Partners
    are neither right nor wrong and are excluded.
    """
    views: dict[str, int] = {}
    rows: list[tuple[int, bool, int, float, float, float, int]] = []
    folds: list[int] = []
    absent: list[bool] = []
    for query in queries:
        cached = query.load()
        if cached.error:
            continue
        embed_pass = method.query_passes(cached.query)
        embedding = embed_pass("first", EVERYWHERE).joined(embed_pass("closer", EVERYWHERE))
        for name, videos in dataset.catalogues(query):
            if name == "all" or not embedding.informative.any():
                continue
            matcher = method.matcher(videos, calibration)
            answer = len(folds)
            folds.append(query.fold)
            absent.append(name == "without")
            evidence_by_video = matcher.evidence(embedding, best_of_view=_BEST_OF_VIEW)
            for video_id, evidence in evidence_by_video.items():
                relation = dataset.relation(query.video, video_id, cached.partners)
                if relation == "partner":
                    continue
                rows += [
                    (
                        answer,
                        relation in ("self", "copy"),
                        views.setdefault(match_evidence.view, len(views)),
                        match_evidence.runs[0].score,
                        match_evidence.runs[0].seconds,
                        match_evidence.background.mean,
                        match_evidence.background.count,
                    )
                    for match_evidence in evidence
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
