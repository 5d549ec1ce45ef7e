"""Features of the films over still pictures: each film is embedded once; the results are cached.

A film has two embedded frames per segment, where a video has eight, and the motion of its first segment
stands for all, since its window moves evenly. So a segment takes a third of the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from common.errors import UsageError, VideoError
from common.runtime_tuning import usable_cores
from common.settings import VideoSettings
from common.types import Float64Array, FrameBatch, UInt8Array
from common.worker_processes import WorkerProcesses
from embedder.action import action_features
from embedder.clip_opening import SampledFrames
from embedder.query.features import QueryFeatures, ViewFeatures
from embedder.stage import EmbedderStage
from embedder.visual.frame_quality import informative
from embedder.visual.views import IDENTITY
from evaluation.data.extraction import MakeStage
from evaluation.data.feature_cache import CachedQuery, read_cached_query, write_cached_query
from evaluation.data.picture_films import SEGMENT_SECONDS, SEGMENTS, PictureFilm, picture_films
from ingest.fingerprint import content_digest

_FILMS_VERSION = 1
"""Part of the cache keys: raise it when a film or its frames change."""
_FRAMES_A_SEGMENT, _FRAME_SIDE = 2, VideoSettings().short_side
# Films may be asked for before those under way are counted.
_MOST_AHEAD = 1000

_digest_of = lru_cache(maxsize=100_000)(content_digest)


class PictureFeatureStore:
    """Cached features of films over the pictures of one folder, through one profile."""

    def __init__(self, cache: Path, model_id: str, pictures: Path) -> None:
        self._cache = cache
        self._model_id = model_id
        self._pictures = pictures

    def path(self, film: PictureFilm) -> Path:
        """The file for the features of a film."""
        parts = (_digest_of(str(film.path)), str(film.number), str(_FILMS_VERSION), self._model_id)
        name = hashlib.blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
        return self._cache / self._model_id / "pictures" / f"{name}.npz"

    def read(self, segments: int) -> Iterator[tuple[PictureFilm, QueryFeatures]]:
        """The first films that have this number of informative segments together, or a few more; those
        without any are left out. Raises UsageError if they are not all extracted."""
        left = segments
        for film in picture_films(self._pictures):
            if left <= 0:
                return
            cached = read_cached_query(self.path(film))
            if cached is None:
                raise UsageError(f"{film.path}: not extracted; run the same command again")
            if found := _informative_segments(cached.query):
                yield film, cached.query
            left -= found

    def extract(
        self, segments: int, make: MakeStage, workers: int | None = None
    ) -> Generator[int, None, None]:
        """Embed the films that `read` needs in worker processes. Yields the number of segments that were
        added to the cache, or found in it, since it last did; an interrupted run resumes.

        Raises UsageError for a picture that cannot be used, and if too few show something; StoryHashError
        if a process died.
        """
        done = told = 0

        def missing() -> Iterator[Callable[[EmbedderStage], int]]:
            nonlocal done
            for film in picture_films(self._pictures):
                if done >= segments:
                    return
                if film.number > segments + _MOST_AHEAD:
                    raise UsageError("too few of the pictures show something; take others")
                cached = read_cached_query(self.path(film))
                if cached is None:
                    yield partial(_extract, film, self.path(film))
                else:
                    done += _informative_segments(cached.query)

        with WorkerProcesses(workers or usable_cores(), make) as processes:
            for found in processes.run(missing()):
                done += found
                yield done - told
                told = done
        yield done - told


def film_features(stage: EmbedderStage, film: PictureFilm) -> QueryFeatures:
    """The features of a film. Raises VideoError for a picture that cannot be used."""
    ends = SEGMENT_SECONDS * np.arange(SEGMENTS + 1)
    step = SEGMENT_SECONDS / _FRAMES_A_SEGMENT
    pts_seconds: Float64Array = step * (
        np.arange(SEGMENTS * _FRAMES_A_SEGMENT, dtype=np.float64) + 0.5
    )
    frames = _frames(film, pts_seconds)
    sampled = SampledFrames(frames, informative(frames), pts_seconds)
    (rows,) = stage.pictures.describe([sampled])
    rate = stage.motion.tracker.frames_per_second
    moments: Float64Array = np.linspace(
        0.0, SEGMENT_SECONDS, round(SEGMENT_SECONDS * rate), endpoint=False, dtype=np.float64
    )
    action = action_features(stage.motion.follow(FrameBatch(_frames(film, moments), moments)))
    return QueryFeatures(
        float(ends[-1]),
        np.stack([ends[:-1], ends[1:]], axis=1),
        np.tile(action, (SEGMENTS, 1)),
        (ViewFeatures(IDENTITY, rows, sampled.informative, pts_seconds),),
    )


def _frames(film: PictureFilm, times: Float64Array) -> UInt8Array:
    frames: UInt8Array = np.stack([*film.at(times.tolist(), _FRAME_SIDE, lambda: None)])
    return frames


def _informative_segments(film: QueryFeatures) -> int:
    """The number of segments that an index holds."""
    shown = film.view(IDENTITY).informative
    return int(shown.reshape(-1, _FRAMES_A_SEGMENT).any(axis=1).sum())


def _extract(film: PictureFilm, path: Path, stage: EmbedderStage) -> int:
    try:
        features = film_features(stage, film)
    except VideoError as error:
        raise UsageError(
            f"{film.path} cannot be used ({error}); take it out of the folder"
        ) from None
    write_cached_query(path, CachedQuery(features))
    return _informative_segments(features)
