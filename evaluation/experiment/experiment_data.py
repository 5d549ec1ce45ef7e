"""One profile's view of a dataset, ready to be asked: queries, calibrations, rows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from common.errors import UsageError
from embedder.fusion import FusionMode, split
from embedder.pooling import Pooling
from embedder.query.features import SeenQuery
from evaluation.data.datasets import DatasetVideo, folds
from evaluation.data.extraction import ORIGINAL, FeatureStore
from evaluation.data.feature_cache import CachedQuery
from evaluation.data.records import QueryRow
from evaluation.experiment.protocol import REAL, Dataset, Method, Query, ask
from evaluation.methods.baselines import Baseline, BaselineName
from evaluation.methods.configurations import Configuration
from evaluation.methods.exact_index import indexed
from evaluation.methods.storyhash import MatcherMethod
from evaluation.transforms.base import Transform
from searcher.matching.calibration import Calibration

FOLDS = 5


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """Which edits of which videos are asked."""

    videos: tuple[DatasetVideo, ...]
    transforms: tuple[Transform, ...]
    per_transform: int | None = None

    def edits(self) -> list[tuple[DatasetVideo, str]]:
        """All pairs; of each transform `per_transform` videos, others for each, by chance that is the
        same in every run and in which more contain fewer."""
        chosen = []
        for transform in self.transforms:
            order = list(self.videos)
            random.Random(transform.name).shuffle(order)
            chosen += [(video, transform.name) for video in order[: self.per_transform]]
        return chosen

    def wanted(self) -> list[tuple[DatasetVideo, str]]:
        """All that must be seen: every video as it is, and the edits."""
        return [(video, ORIGINAL) for video in self.videos] + self.edits()


class ExperimentData:
    """The kept features of one profile, and what is made of them."""

    def __init__(
        self, plan: ExperimentPlan, store: FeatureStore, profile: str, pooling: Pooling
    ) -> None:
        """Raises UsageError when a video of the plan cannot be read."""
        self._plan = plan
        self._store = store
        self.profile = profile
        self.pooling = pooling
        self.dataset = Dataset.of(plan.videos)
        self._originals = dict(self._read_originals())
        self._fold = folds(plan.videos, FOLDS)
        self._group = {one.name: one.group for one in plan.transforms}

    def _read_originals(self) -> Iterator[tuple[str, SeenQuery]]:
        for video in self._plan.videos:
            seen = self._seen(video, ORIGINAL)
            if seen.error:
                raise UsageError(
                    f"{video.uri} cannot be evaluated on ({seen.error}); take it out of the folder"
                )
            yield video.video_id, seen.query

    @property
    def seconds_of_video(self) -> float:
        """Length of all videos together."""
        return sum(seen.duration_seconds for seen in self._originals.values())

    def action_energy(self, fusion: FusionMode) -> float:
        """Mean share of the energy of the videos' vectors that is action, 0 to 1; NaN where all are
        uninformative."""
        shares = [
            (split(vectors)[1] ** 2).sum(axis=1)
            for name, seen in self._originals.items()
            if len(vectors := indexed(name, seen, self.pooling, fusion).vectors)
        ]
        return float(np.concatenate(shares).mean()) if shares else math.nan

    def _seen(self, video: DatasetVideo, transform: str) -> CachedQuery:
        seen = self._store.read(self.profile, video, transform)
        if seen is None:
            raise UsageError(f"{video.video_id}, {transform}: not extracted; run it again")
        return seen

    def queries(self) -> list[Query]:
        """Every edit, and every video with copies or look-alikes as it is."""
        made = [
            self._query(video, name, self._group[name], name) for video, name in self._plan.edits()
        ]
        sizes: dict[str, int] = {}
        for video in self._plan.videos:
            sizes[video.family] = sizes.get(video.family, 0) + 1
        for video in self._plan.videos:
            if sizes[video.family] > 1:
                made.append(self._query(video, "copy", REAL, ORIGINAL))
            elif video.lookalike_group:
                made.append(self._query(video, "lookalike", REAL, ORIGINAL))
        return made

    def _query(self, video: DatasetVideo, transform: str, group: str, seen: str) -> Query:
        return Query(
            video, transform, group, self._fold[video.video_id], partial(self._seen, video, seen)
        )

    def answers(
        self, configuration: Configuration, calibration_of: Callable[[int], Calibration]
    ) -> MatcherMethod:
        """The matcher under a configuration; calibration_of: that of a query's fold."""
        return MatcherMethod(
            configuration, self.dataset, self._originals, self.pooling, calibration_of
        )

    def baseline(self, name: BaselineName) -> Baseline:
        """One to compare with."""
        return Baseline(name, self.dataset, self._originals)

    def rows(self, queries: Sequence[Query], method: Method) -> Iterator[QueryRow]:
        """Ask them all."""
        return ask(queries, self.dataset, method, self.profile)
