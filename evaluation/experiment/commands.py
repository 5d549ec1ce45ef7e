"""The experiments: robustness, ablation, and the fit of a calibration."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.atomic_write import replacing
from common.errors import UsageError
from evaluation.calibration.folds import with_version
from evaluation.calibration.judged import JudgedPairs
from evaluation.data.record_io import write_rows
from evaluation.experiment.configured_methods import Calibrations, ConfiguredMethod
from evaluation.experiment.experiment import Evaluation, ProfileRun
from evaluation.experiment.profile import Backend
from evaluation.methods.baselines import BASELINES
from evaluation.methods.configurations import FULL, FUSIONS, Configuration
from evaluation.records import QueryRow
from searcher.matching.scoring.calibration import Calibration

Notice = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one profile. path: file of the rows; about: JSON that says how they were made."""

    backend: Backend
    rows: tuple[QueryRow, ...]
    path: Path
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FittedCalibration:
    """A calibration and the rows that evaluate it. before: under the calibration in force; after:
    cross-validated."""

    backend: Backend
    calibration: Calibration
    before: tuple[QueryRow, ...]
    after: tuple[QueryRow, ...]


def robustness(
    evaluation: Evaluation,
    backend: Backend,
    out: Path,
    *,
    cross_validate: bool = False,
    baselines: bool = True,
    distractors: Sequence[int] = (),
    pictures: Path | None = None,
) -> Result:
    """Answer every query under the shipped configuration and, if `baselines`, by the baselines too;
    then once more for each number of `distractors` beside the catalogue.

    pictures: folder of still pictures over which distractors move, None makes them of the videos' views.

    cross_validate: use calibrations fitted on four folds for the queries of the fifth, instead of the
    calibration in force. Writes out/rows-PROFILE.jsonl and out/robustness-PROFILE.json. Raises
    UsageError if there is too little to fit.
    """
    if pictures is not None and distractors:
        evaluation.extract_pictures(backend, pictures, max(distractors))
    with evaluation.open_profile(backend, pictures) as profile_run:
        in_force: Calibrations = {None: backend.calibration}
        methods = [ConfiguredMethod(FULL, profile_run.fitted(FULL) if cross_validate else in_force)]
        if baselines:
            methods += [ConfiguredMethod(name, {}) for name in BASELINES]
        methods += [
            ConfiguredMethod(FULL, methods[0].calibrations, count)
            for count in sorted(set(distractors))
        ]
        description = _about(
            evaluation, profile_run, backend, methods, cross_validated=cross_validate
        )
        description["distractor_kind"] = "views" if pictures is None else "pictures"
        return _finish(profile_run, backend, methods, out, "robustness", description)


def ablation(
    evaluation: Evaluation,
    backend: Backend,
    out: Path,
    configurations: Sequence[Configuration],
    notice: Notice,
) -> Result:
    """Answer every query under each configuration, with cross-validated calibrations of its own.

    A configuration whose copies do not score higher than non-matches keeps the calibration in force;
    `notice` gets a message. Writes out/ablation-PROFILE.jsonl and out/ablation-PROFILE.json. Raises
    UsageError if there is too little to fit the first configuration.
    """
    with evaluation.open_profile(backend) as profile_run:
        methods = []
        for configuration in configurations:
            try:
                methods.append(ConfiguredMethod(configuration, profile_run.fitted(configuration)))
            except UsageError as error:
                if configuration is configurations[0]:
                    raise
                notice(
                    f"{backend.profile}, {configuration.name}: {error}; it keeps the calibration"
                )
                methods.append(ConfiguredMethod(configuration, {None: backend.calibration}))
        description = _about(evaluation, profile_run, backend, methods, cross_validated=True)
        fusions = {
            configuration.name: configuration.fusion
            for configuration in configurations
            if configuration.name in FUSIONS
        }
        description["action_energy"] = {
            name: round(profile_run.action_energy(fusion), 6) for name, fusion in fusions.items()
        }
        return _finish(profile_run, backend, methods, out, "ablation", description)


def calibrate(
    evaluation: Evaluation, backend: Backend, date: str, judged: JudgedPairs | None = None
) -> FittedCalibration:
    """Fit a calibration on all queries, and evaluate it in cross-validation. date: YYYYMMDD, for its
    version. judged: pairs that people judged, for every fit.

    Raises UsageError if there is too little to fit.
    """
    with evaluation.open_profile(backend) as profile_run:
        fitted = profile_run.fitted(FULL, judged)
        # The curve is judged without what pictures add to it afterwards.
        by_vectors = replace(FULL, verified=False)
        methods = [
            ConfiguredMethod(by_vectors, {None: backend.calibration}),
            ConfiguredMethod(by_vectors, fitted),
        ]
        before, after = (tuple(profile_run.rows([method])) for method in methods)
    visual, digest = fitted[None].version.rsplit("-", 1)
    named = with_version(fitted[None], f"{visual}-{date}-{digest}")
    return FittedCalibration(backend, named, before, after)


def _finish(
    profile_run: ProfileRun,
    backend: Backend,
    methods: Sequence[ConfiguredMethod],
    out: Path,
    kind: str,
    description: dict[str, Any],
) -> Result:
    rows = tuple(profile_run.rows(methods))
    name = "rows" if kind == "robustness" else kind
    path = out / f"{name}-{backend.profile}.jsonl"
    write_rows(path, rows)
    with replacing(out / f"{kind}-{backend.profile}.json") as temporary:
        temporary.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    return Result(backend, rows, path, description)


def _about(
    evaluation: Evaluation,
    profile_run: ProfileRun,
    backend: Backend,
    methods: Sequence[ConfiguredMethod],
    *,
    cross_validated: bool,
) -> dict[str, Any]:
    """How the rows were made, as JSON. It names no video and no folder."""
    videos = profile_run.videos
    families = [video.family for video in videos]
    return {
        "profile": backend.profile,
        "model_id": backend.model_id,
        "cross_validated": cross_validated,
        "verified": any(
            isinstance(method.method, Configuration) and method.method.verified
            for method in methods
        ),
        "calibrations": {
            method.name: (
                method.calibrations[None].version if None in method.calibrations else None
            )
            for method in methods
        },
        "videos": len(videos),
        "families": len(set(families)),
        "copies": sum(families.count(family) > 1 for family in families),
        "distractors": [method.distractors for method in methods if method.distractors],
        "lookalikes": sum(
            bool(video.lookalike_group) and families.count(video.family) == 1 for video in videos
        ),
        "made_lookalikes": len(evaluation.plan.lookalikes),
        "video_seconds": round(profile_run.seconds_of_video, 1),
        "transforms": [transform.name for transform in evaluation.plan.transforms],
        "per_transform": evaluation.plan.per_transform,
        "edits": len(evaluation.plan.edits()),
    }
