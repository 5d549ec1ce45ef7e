#!/usr/bin/env python3
"""Fit the constants that standardise the action features, from made-up videos alone.

    python -m scripts.fit_action            writes embedder/action.json
    python -m scripts.fit_action --check    compares instead, exit code 1 when they differ

Every film is drawn from a seed and played at one of two speeds; the motion tracker follows what moves
in four seconds of it. Takes about two minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

import numpy as np

from common.runtime_tuning import usable_cores, work_in_one_thread
from common.types import Float64Array, FrameBatch
from embedder.action import CONSTANTS_PATH, raw_features, squash
from embedder.tracking.motion import MotionTracker
from storyhash.samples import FRAMES_PER_SECOND, film

_FILMS = 400
_SECONDS = 4.0
# A film whose frames are shown at the tracker's rate runs at two thirds of its speed.
_SPEEDS = (MotionTracker.frames_per_second / FRAMES_PER_SECOND, 1.0)


def features_of(number: int) -> Float64Array | None:
    """Squashed features, float64 (15,), of one film; None when nothing moves in it."""
    work_in_one_thread()
    rate = FRAMES_PER_SECOND * _SPEEDS[number % len(_SPEEDS)]
    frames = np.stack(list(islice(film(number, 2 * _SECONDS), round(_SECONDS * rate))))
    pts = np.arange(len(frames)) / rate
    slots = np.floor(pts * MotionTracker.frames_per_second + 1e-9)
    kept = np.unique(slots, return_index=True)[1]
    tracks = MotionTracker().track(FrameBatch(np.ascontiguousarray(frames[kept]), pts[kept]))
    return squash(raw_features(tracks)) if tracks.visible.any() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    with ProcessPoolExecutor(usable_cores()) as executor:
        found = list(executor.map(features_of, range(_FILMS)))
    rows = np.array([one for one in found if one is not None])
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    fitted = {"mean": mean.round(4).tolist(), "deviation": deviation.round(4).tolist()}
    if asked.check:
        held = json.loads(CONSTANTS_PATH.read_text(encoding="utf-8"))
        same = all(np.allclose(held[name], values, atol=2e-3) for name, values in fitted.items())
        sys.stdout.write("the same\n" if same else "different\n")
        return 0 if same else 1
    CONSTANTS_PATH.write_text(json.dumps(fitted, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(rows)} of {_FILMS} films move; wrote {CONSTANTS_PATH}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
