"""Calibrations of the matcher's tests: fixed, so that a new fit of the built-in ones changes no test."""

from __future__ import annotations

from pathlib import Path

from searcher.matching.scoring.calibration import Calibration, load_calibration

_FILE = Path(__file__).with_suffix(".json")


def fixed_calibration(visual: str) -> Calibration:
    """`offline`: non-matches are scattered widely (it was fitted to hand-made features). `sscd`: they are
    not."""
    return load_calibration(visual, _FILE)
