"""Calibrations fitted on all samples and on all but one fold, and the file that matching reads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_write import replacing
from common.errors import UsageError
from evaluation.calibration.fit import BACKGROUND_WEIGHTS, fit
from evaluation.calibration.judged import JudgedPairs
from evaluation.calibration.samples import Samples
from evaluation.methods.configurations import Configuration
from searcher.matching.scoring.calibration import Calibration, from_json

# Columns with one value per pair, and with one value per answer.
_PAIR_COLUMNS = ("right", "score", "seconds", "background_mean", "count")
_ANSWER_COLUMNS = ("fold", "absent")


def concatenate_samples(parts: Sequence[Samples]) -> Samples:
    """Concatenate samples, in order; views get new numbers."""
    views = tuple(dict.fromkeys(view for part in parts for view in part.views))
    number = {view: index for index, view in enumerate(views)}
    new_numbers = [
        np.array([number[view] for view in part.views], dtype=np.int64) for part in parts
    ]
    starts = np.cumsum([0, *(len(part.fold) for part in parts)])
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (*_PAIR_COLUMNS, *_ANSWER_COLUMNS)
    }
    return Samples(
        views,
        answer=np.concatenate(
            [part.answer + start for part, start in zip(parts, starts, strict=False)]
        ),
        view=np.concatenate(
            [numbers[part.view] for numbers, part in zip(new_numbers, parts, strict=True)]
        ),
        **columns,
    )


def digest(samples: Samples) -> str:
    """Digest of the samples that a calibration was fitted on, 8 hexadecimal digits."""
    digester = hashlib.blake2b("\n".join(samples.views).encode(), digest_size=4)
    for column in fields(samples):
        value = getattr(samples, column.name)
        if isinstance(value, np.ndarray):
            digester.update(np.ascontiguousarray(value).tobytes())
    return digester.hexdigest()


def fit_on_folds(
    samples: Samples,
    folds: int,
    configuration: Configuration,
    base: Calibration,
    version: str,
    advance: Callable[[int], None] = lambda _: None,
    judged: JudgedPairs | None = None,
) -> dict[int | None, Calibration]:
    """The calibration of each fold, fitted on the other folds; under None the one fitted on all.

    advance: called after each fit. judged: further pairs of every fit. Raises UsageError if there are too
    few answers, or if copies do not score higher than non-matches.
    """
    if not len(samples.answer):
        raise UsageError(
            "nothing to fit a calibration on: no query found anything; take more videos"
        )
    weights = BACKGROUND_WEIGHTS if configuration.normalised else (0.0,)
    fitted: dict[int | None, Calibration] = {}
    for fold in range(folds):
        fitted[fold] = fit(
            samples.without(fold), base, f"{version}-without-{fold}", weights, judged
        )
        advance(1)
    fitted[None] = fit(samples, base, version, weights, judged)
    advance(1)
    return fitted


def to_json(calibrations: Mapping[int | None, Calibration]) -> dict[str, Any]:
    """JSON by fold; `all` stands for None."""
    return {
        "all" if fold is None else str(fold): asdict(calibration)
        for fold, calibration in calibrations.items()
    }


def calibrations_from_json(fields: Mapping[str, Any]) -> dict[int | None, Calibration]:
    """Calibrations from the JSON of `to_json`; raises TypeError or ValueError for anything else."""
    return {
        None if fold == "all" else int(fold): from_json(calibration)
        for fold, calibration in fields.items()
    }


def check_calibrations(path: Path) -> dict[str, Any]:
    """The calibrations in a file by visual backend, as JSON; empty if there is no file.

    Raises UsageError for any other file, because it would be overwritten.
    """
    try:
        calibrations = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(calibrations, dict):
            raise TypeError(f"expected an object, got {type(calibrations).__name__}")
        for calibration in calibrations.values():
            from_json(calibration)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{path} holds something other than calibrations ({error}); name another file"
        ) from None
    return calibrations


def write_calibrations(path: Path, fitted: Mapping[str, Calibration]) -> None:
    """Write calibrations by visual backend; the file keeps those of other backends.

    Raises UsageError if the file holds something else.
    """
    calibrations = check_calibrations(path) | {
        visual: asdict(calibration) for visual, calibration in fitted.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(calibrations, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def with_version(calibration: Calibration, version: str) -> Calibration:
    """The same calibration with another version."""
    return replace(calibration, version=version)
