"""Calibrations from samples: on all of them, on all but one fold, and in the file that matching reads."""

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
from evaluation.calibration.samples import Samples
from evaluation.methods.configurations import Configuration
from searcher.matching.calibration import Calibration, from_json

# What counts the answers, and what counts the pairs; all but `views` are arrays.
_OF_PAIRS = ("right", "score", "seconds", "strangers", "count")
_OF_ANSWERS = ("fold", "absent")


def joined(parts: Sequence[Samples]) -> Samples:
    """Samples of several sets of queries as one, in that order."""
    views = tuple(dict.fromkeys(view for part in parts for view in part.views))
    number = {view: place for place, view in enumerate(views)}
    places = [np.array([number[view] for view in part.views], dtype=np.int64) for part in parts]
    starts = np.cumsum([0, *(len(part.fold) for part in parts)])
    together: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (*_OF_PAIRS, *_OF_ANSWERS)
    }
    return Samples(
        views,
        answer=np.concatenate(
            [part.answer + start for part, start in zip(parts, starts, strict=False)]
        ),
        view=np.concatenate([place[part.view] for place, part in zip(places, parts, strict=True)]),
        **together,
    )


def digest(samples: Samples) -> str:
    """Eight characters that name what a calibration was fitted on."""
    told = hashlib.blake2b("\n".join(samples.views).encode(), digest_size=4)
    for one in fields(samples):
        value = getattr(samples, one.name)
        if isinstance(value, np.ndarray):
            told.update(np.ascontiguousarray(value).tobytes())
    return told.hexdigest()


def fit_on_folds(
    samples: Samples,
    folds: int,
    configuration: Configuration,
    base: Calibration,
    version: str,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[int | None, Calibration]:
    """For each fold the calibration fitted on the others; under None that on all of them.

    advance: told of each fit. Raises UsageError where there are too few answers, or copies do not score
    higher than non-matches.
    """
    if not len(samples.answer):
        raise UsageError(
            "nothing to fit a calibration on: no query found anything; take more videos"
        )
    weights = BACKGROUND_WEIGHTS if configuration.normalised else (0.0,)
    fitted: dict[int | None, Calibration] = {}
    for fold in range(folds):
        fitted[fold] = fit(samples.without(fold), base, f"{version}-without-{fold}", weights)
        advance(1)
    fitted[None] = fit(samples, base, version, weights)
    advance(1)
    return fitted


def to_json(calibrations: Mapping[int | None, Calibration]) -> dict[str, Any]:
    """By fold, `all` for None."""
    return {"all" if fold is None else str(fold): asdict(one) for fold, one in calibrations.items()}


def of_json(held: Mapping[str, Any]) -> dict[int | None, Calibration]:
    """What `to_json` made; raises TypeError or ValueError for anything else."""
    return {None if fold == "all" else int(fold): from_json(one) for fold, one in held.items()}


def check_calibrations(path: Path) -> dict[str, Any]:
    """The calibrations of a file by visual backend, as JSON; none where there is no file.

    Raises UsageError for a file that is something else: it would be overwritten.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(held, dict):
            raise TypeError(f"expected an object, got {type(held).__name__}")
        for one in held.values():
            from_json(one)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{path} holds something other than calibrations ({error}); name another file"
        ) from None
    return held


def write_calibrations(path: Path, fitted: Mapping[str, Calibration]) -> None:
    """Write calibrations by visual backend; those of other backends in the file are kept.

    Raises UsageError for a file that holds something else.
    """
    held = check_calibrations(path) | {visual: asdict(one) for visual, one in fitted.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(held, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def named(calibration: Calibration, version: str) -> Calibration:
    """The same under another version."""
    return replace(calibration, version=version)
