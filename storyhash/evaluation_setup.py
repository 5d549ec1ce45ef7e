"""Prepares an evaluation: profiles, videos, and the folder of its cache."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from common.errors import UsageError
from common.settings import Settings, load_settings
from common.types import UInt8Array
from common.video import encode_video
from embedder.stage import EmbedderStage
from evaluation.data.datasets import DatasetVideo, read_dataset, read_davis, read_lookalikes
from evaluation.experiment.experiment import Evaluation, StartProgress
from evaluation.experiment.experiment_data import ExperimentPlan
from evaluation.experiment.profile import Backend
from evaluation.transforms.registry import choose
from searcher.matching.scoring.calibration import Calibration, load_calibration
from storyhash.profiles import build_stage, resolve_profile
from storyhash.samples import FRAMES_PER_SECOND, film

# Size and frame rate of a usual upload, so that decoding has its usual share of the time.
_DRAWN_SIZE, _DRAWN_FPS, _DRAWN_SEED = (854, 480), 25.0, 60


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is evaluated. cache: None means the user's cache folder."""

    videos: Path
    davis: bool = False
    split: str | None = None
    families: Path | None = None
    lookalikes: Path | None = None
    profiles: Sequence[str] = ()
    transforms: Sequence[str] = ()
    per_transform: int | None = None
    cache: Path | None = None
    workers: int | None = None


def open_evaluation(options: EvaluationOptions, watch: StartProgress) -> Evaluation:
    """Everything a run needs. All of it is checked before the work begins.

    Raises UsageError for missing videos and for unknown profiles or transforms, and the errors of loading
    a profile.
    """
    transforms = choose(options.transforms)
    videos = dataset_of(options)
    settings = load_settings()
    backends = [backend_of(profile) for profile in profile_settings(options.profiles)]
    return Evaluation(
        ExperimentPlan(
            videos,
            transforms,
            options.per_transform,
            () if options.lookalikes is None else read_lookalikes(options.lookalikes),
        ),
        tuple(backends),
        options.cache or cache_folder(),
        settings.video,
        settings.ingest,
        options.workers,
        watch,
    )


def dataset_of(options: EvaluationOptions) -> tuple[DatasetVideo, ...]:
    """The videos of a folder, or of DAVIS. Raises UsageError."""
    if options.davis:
        if options.families is not None:
            raise UsageError(
                "--families cannot be used with --davis: every sequence of DAVIS is a family "
                "of its own"
            )
        return read_davis(options.videos, options.split)
    if options.split is not None:
        raise UsageError("--split is only for DAVIS; add --davis")
    return read_dataset(options.videos, options.families)


def profile_settings(names: Sequence[str]) -> list[Settings]:
    """The settings for each profile, by default that of the settings; `profile` in them is never auto.
    Raises UsageError for an unknown name."""
    by_profile: dict[str, Settings] = {}
    requested: Sequence[str | None] = list(names) or [None]
    for name in requested:
        settings = load_settings(profile=name)
        chosen = resolve_profile(settings).name
        by_profile[chosen] = settings.model_copy(update={"profile": chosen})
    return list(by_profile.values())


def backend_of(settings: Settings) -> Backend:
    """Load a profile for an evaluation. Raises the errors of loading it, and UsageError for a calibration
    that cannot be used."""
    make = partial(build_stage, resolve_profile(settings), settings)
    stage = make()
    return Backend(
        stage.profile,
        stage.visual.name,
        stage.model_id,
        stage.visual.pooling,
        make,
        calibration_of(stage, settings),
        (*stage.visual.views, *stage.visual.closer_views),
    )


def calibration_of(stage: EmbedderStage, settings: Settings) -> Calibration:
    """The calibration for the vectors of a stage. Raises UsageError."""
    return load_calibration(stage.visual.name, settings.matching.calibration)


def cache_folder() -> Path:
    """`storyhash/evaluation` in the user's cache folder, as the XDG base directory specification has it:
    one that is not absolute is ignored."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    root = named if named.is_absolute() else Path.home() / ".cache"
    return root / "storyhash" / "evaluation"


@contextmanager
def drawn_film(seconds: float) -> Iterator[Path]:
    """A temporary file with a synthetic video of this length: 854 x 480, 25 frames per second."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.mp4"
        frames = film(_DRAWN_SEED, seconds * _DRAWN_FPS / FRAMES_PER_SECOND)
        encode_video(path, map(_enlarged, frames), _DRAWN_FPS)
        yield path


def _enlarged(frame: UInt8Array) -> UInt8Array:
    return cv2.resize(frame, _DRAWN_SIZE, interpolation=cv2.INTER_LINEAR)
