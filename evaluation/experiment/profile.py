"""A profile as the evaluation uses it; `storyhash` builds it."""

from __future__ import annotations

from dataclasses import dataclass

from embedder.pooling import Pooling
from evaluation.data.extraction import MakeStage
from searcher.matching.scoring.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Backend:
    """One profile.

    visual: name of its visual backend. pooling: how frames become one vector. make: loads it, also in
    other processes. calibration: the calibration in force. views: what queries are embedded through.
    """

    profile: str
    visual: str
    model_id: str
    pooling: Pooling
    make: MakeStage
    calibration: Calibration
    views: tuple[str, ...]
