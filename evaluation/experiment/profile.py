"""A profile as an evaluation needs it; who builds one knows the profiles."""

from __future__ import annotations

from dataclasses import dataclass

from embedder.pooling import Pooling
from evaluation.data.extraction import MakeStage
from searcher.matching.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Backend:
    """One profile.

    visual: the name of its visual backend, whose calibration it uses. pooling: how frames become one
    vector. make: loads it, also in other processes. calibration: the one in force.
    """

    profile: str
    visual: str
    model_id: str
    pooling: Pooling
    make: MakeStage
    calibration: Calibration
