#!/usr/bin/env python3
"""Fit the constants that standardise the action features, from made-up videos alone.

    python -m scripts.fit_action            writes embedder/action.json and scripts/fit_action.npz
    python -m scripts.fit_action --check    compares instead, exit code 1 when they differ

Every film is drawn from a seed and played at one of two speeds; the motion tracker follows what moves
in four seconds of it. Takes about two minutes on two cores. scripts/fit_action.npz has the features of
every film, so a check takes seconds: it follows what moves in a few films anew, compares their features
with the stored ones, and fits the constants to all stored ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from common.runtime_tuning import usable_cores, work_in_one_thread
from common.types import ACTION_DIMENSION, Float64Array, FrameBatch
from embedder.action import CONSTANTS_PATH, raw_features, squash
from embedder.tracking.motion import MotionTracker
from storyhash.samples import FRAMES_PER_SECOND, film

_FILMS = 400
_SECONDS = 4.0
# A film whose frames are shown at the tracker's rate runs at two thirds of its speed.
_SPEEDS = (MotionTracker.frames_per_second / FRAMES_PER_SECOND, 1.0)
_FEATURES_PATH = Path(__file__).with_suffix(".npz")
# A check measures one film of so many again: odd, so that both speeds are among them.
_CHECKED_EVERY = 57
_TOLERANCE = 2e-3


def features_of(number: int) -> Float64Array:
    """Squashed features, float64 (15,), of one film; NaN when nothing moves in it."""
    work_in_one_thread()
    rate = FRAMES_PER_SECOND * _SPEEDS[number % len(_SPEEDS)]
    frames = np.stack(list(islice(film(number, 2 * _SECONDS), round(_SECONDS * rate))))
    pts = np.arange(len(frames)) / rate
    slots = np.floor(pts * MotionTracker.frames_per_second + 1e-9)
    first_of_slot = np.unique(slots, return_index=True)[1]
    tracks = MotionTracker().track(
        FrameBatch(np.ascontiguousarray(frames[first_of_slot]), pts[first_of_slot])
    )
    if not tracks.visible.any():
        return np.full(ACTION_DIMENSION, np.nan)
    return squash(raw_features(tracks))


def fit(features: Float64Array) -> dict[str, list[float]]:
    """The constants, from the features of all films: float64 (films, 15)."""
    moving = features[~np.isnan(features[:, 0])]
    mean, deviation = moving.mean(axis=0), moving.std(axis=0)
    return {"mean": mean.round(4).tolist(), "deviation": deviation.round(4).tolist()}


def is_the_same() -> bool:
    """Are the stored features those of the films, and the constants those of the features?"""
    with np.load(_FEATURES_PATH) as file:
        stored = file["features"]
    numbers = range(0, _FILMS, _CHECKED_EVERY)
    anew = np.array([features_of(number) for number in numbers])
    constants = json.loads(CONSTANTS_PATH.read_text(encoding="utf-8"))
    return (
        stored.shape == (_FILMS, ACTION_DIMENSION)
        and np.allclose(stored[numbers], anew, atol=_TOLERANCE, equal_nan=True)
        and all(
            np.allclose(constants[name], values, atol=_TOLERANCE)
            for name, values in fit(stored).items()
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        same = is_the_same()
        sys.stdout.write("the same\n" if same else "different\n")
        return 0 if same else 1
    with ProcessPoolExecutor(usable_cores()) as executor:
        features = np.array(list(executor.map(features_of, range(_FILMS))))
    np.savez_compressed(_FEATURES_PATH, features=features)
    CONSTANTS_PATH.write_text(json.dumps(fit(features), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(
        f"{(~np.isnan(features[:, 0])).sum()} of {_FILMS} films move; wrote {CONSTANTS_PATH}\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
