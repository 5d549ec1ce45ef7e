"""The data of one experiment: the cached features of one profile, its queries, and their rows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.settings import VideoSettings
from embedder.fusion import FusionMode, split
from embedder.pooling import Pooling
from embedder.query.features import QueryFeatures
from embedder.visual.views import VIEW_NAMES
from evaluation.data.datasets import DatasetVideo, folds
from evaluation.data.distractors import Distractor, make_distractors
from evaluation.data.edits import EditedVideos
from evaluation.data.extraction import ORIGINAL, FeatureStore
from evaluation.data.feature_cache import CachedQuery
from evaluation.data.picture_features import PictureFeatureStore
from evaluation.methods.baselines import Baseline, BaselineName
from evaluation.methods.configurations import Configuration
from evaluation.methods.distractor_index import DistractorRows
from evaluation.methods.exact_index import index_video
from evaluation.methods.storyhash import MatcherMethod
from evaluation.methods.verification import Verification
from evaluation.protocol import LOOKALIKE, REAL, Dataset, Method, Query, answer_all
from evaluation.records import QueryRow
from evaluation.transforms.base import Transform
from evaluation.transforms.registry import TRANSFORMS
from searcher.matching.scoring.calibration import Calibration

FOLDS = 5


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """Which edits of which videos become queries. lookalikes: videos that are queries unedited, against
    one another and the others."""

    videos: tuple[DatasetVideo, ...]
    transforms: tuple[Transform, ...]
    per_transform: int | None = None
    lookalikes: tuple[DatasetVideo, ...] = ()

    def edits(self) -> list[tuple[DatasetVideo, str]]:
        """All (video, transform) pairs: `per_transform` videos per transform, chosen at random with the
        transform's name as the seed. A larger number adds videos and keeps the others."""
        chosen = []
        for transform in self.transforms:
            order = list(self.videos)
            random.Random(transform.name).shuffle(order)
            chosen += [(video, transform.name) for video in order[: self.per_transform]]
        return chosen

    def required_features(self) -> list[tuple[DatasetVideo, str]]:
        """Everything that must be embedded: every unedited video, and the edits."""
        return [(video, ORIGINAL) for video in (*self.videos, *self.lookalikes)] + self.edits()


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """One profile's experiment, from which any process makes its data. transforms: their names. folder:
    of the cached features. edits: folder of edited videos, which are made when their pictures are
    compared. views: those that queries are embedded through; the cached features may have more. pictures:
    folder of still pictures over which distractors move; None makes them of the videos' views."""

    videos: tuple[DatasetVideo, ...]
    transforms: tuple[str, ...]
    per_transform: int | None
    folder: Path
    edits: Path
    profile: str
    model_id: str
    pooling: Pooling
    limits: VideoSettings
    lookalikes: tuple[DatasetVideo, ...] = ()
    views: tuple[str, ...] = VIEW_NAMES
    pictures: Path | None = None

    @property
    def plan(self) -> ExperimentPlan:
        return ExperimentPlan(
            self.videos,
            tuple(TRANSFORMS[name] for name in self.transforms),
            self.per_transform,
            self.lookalikes,
        )

    @property
    def store(self) -> FeatureStore:
        videos = (*self.videos, *self.lookalikes)
        return FeatureStore(self.folder, {self.profile: self.model_id}, videos)

    @property
    def picture_store(self) -> PictureFeatureStore | None:
        if self.pictures is None:
            return None
        return PictureFeatureStore(self.folder, self.model_id, self.pictures)


class ExperimentData:
    """The cached features of one profile, and the queries and indexes made from them."""

    def __init__(self, spec: ExperimentSpec) -> None:
        """Raises UsageError if a video was not extracted or could not be read."""
        plan = self._plan = spec.plan
        self._views = frozenset(spec.views)
        self._pictures = spec.picture_store
        self._store = spec.store
        self.profile = spec.profile
        self.pooling = spec.pooling
        self.dataset = Dataset.of(plan.videos, plan.lookalikes)
        # One for all methods: they compare the same pictures of a query.
        edits = EditedVideos(spec.edits, self._store.videos, spec.limits)
        self._verification = Verification(self.dataset, edits, spec.limits)
        self._originals = dict(self._read_originals())
        self._fold = {**folds(plan.videos, FOLDS), **folds(plan.lookalikes, FOLDS)}
        self._group = {transform.name: transform.group for transform in plan.transforms}

    def _read_originals(self) -> Iterator[tuple[str, QueryFeatures]]:
        for video in (*self._plan.videos, *self._plan.lookalikes):
            cached = self._load(video, ORIGINAL)
            if cached.error:
                raise UsageError(
                    f"{video.uri} cannot be evaluated on ({cached.error}); take it out of the folder"
                )
            yield video.video_id, cached.query

    @property
    def seconds_of_video(self) -> float:
        """Total length of all videos, without look-alikes."""
        return sum(self._originals[name].duration_seconds for name in self.dataset.videos)

    def action_energy(self, fusion: FusionMode) -> float:
        """Mean share of the action block in the energy of the videos' vectors, 0 to 1; NaN if there is
        no informative segment."""
        shares = [
            (split(vectors)[1] ** 2).sum(axis=1)
            for name in self.dataset.videos
            if len(
                vectors := index_video(name, self._originals[name], self.pooling, fusion).vectors
            )
        ]
        return float(np.concatenate(shares).mean()) if shares else math.nan

    def _load(self, video: DatasetVideo, transform: str) -> CachedQuery:
        cached = self._store.read(self.profile, video, transform)
        if cached is None:
            raise UsageError(
                f"{video.video_id}, {transform}: not extracted; run the same command again"
            )
        # The features may have been cached when the profile had more views.
        seen = tuple(view for view in cached.query.views if view.name in self._views)
        return replace(cached, query=replace(cached.query, views=seen))

    def queries(self) -> list[Query]:
        """Every edit, every unedited video that has copies or look-alikes, and the folder of
        look-alikes."""
        queries = [
            self._query(video, name, self._group[name], name) for video, name in self._plan.edits()
        ]
        sizes: dict[str, int] = {}
        for video in self._plan.videos:
            sizes[video.family] = sizes.get(video.family, 0) + 1
        for video in self._plan.videos:
            if sizes[video.family] > 1:
                queries.append(self._query(video, "copy", REAL, ORIGINAL))
            elif video.lookalike_group:
                queries.append(self._query(video, "lookalike", REAL, ORIGINAL))
        queries += [
            self._query(video, "made_lookalike", LOOKALIKE, ORIGINAL)
            for video in self._plan.lookalikes
        ]
        return queries

    def _query(self, video: DatasetVideo, transform: str, group: str, cached_as: str) -> Query:
        return Query(
            video,
            transform,
            group,
            self._fold[video.video_id],
            partial(self._load, video, cached_as),
        )

    def matcher_method(
        self,
        configuration: Configuration,
        calibration_of: Callable[[int], Calibration],
        distractors: int = 0,
    ) -> MatcherMethod:
        """The matcher under a configuration; calibration_of: the calibration for a fold. distractors:
        number of distractor segments beside every catalogue."""
        return MatcherMethod(
            configuration,
            self.dataset,
            self._originals,
            self.pooling,
            calibration_of,
            self._distractors(distractors, configuration.fusion) if distractors else None,
            self._verification if configuration.verified else None,
        )

    @lru_cache(maxsize=4)  # noqa: B019 - one object for the whole process
    def _distractors(self, count: int, fusion: FusionMode) -> DistractorRows:
        if self._pictures is None:
            videos = self._plan.videos
            made = make_distractors(count, videos, self._originals, self.pooling, fusion)
            return DistractorRows([*made])
        distractors = []
        for film, features in self._pictures.read(count):
            video = film.video
            segments = index_video(video.video_id, features, self.pooling, fusion)
            distractors.append(Distractor(video, segments))
            self._verification.add(video.video_id, film)
        return DistractorRows(distractors)

    def baseline(self, name: BaselineName) -> Baseline:
        """A baseline by its name."""
        return Baseline(name, self.dataset, self._originals)

    def rows(self, queries: Sequence[Query], method: Method) -> Iterator[QueryRow]:
        """The rows of all queries; see `answer_all`."""
        return answer_all(queries, self.dataset, method, self.profile)
