"""The features of a query per frame, before they are pooled into windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.types import (
    ACTION_DIMENSION,
    VISUAL_DIMENSION,
    BoolArray,
    Float32Array,
    Float64Array,
    check_array,
)


@dataclass(frozen=True, slots=True)
class ViewFeatures:
    """The frames of one view. rows: float32 (T, 512), unit norm, zero where `informative`, bool (T,), is
    false; pts_seconds: float64 (T,), increasing."""

    name: str
    rows: Float32Array
    informative: BoolArray
    pts_seconds: Float64Array

    def __post_init__(self) -> None:
        sizes = check_array("rows", self.rows, np.float32, ("T", VISUAL_DIMENSION))
        check_array("informative", self.informative, np.bool_, (sizes["T"],))
        check_array("pts_seconds", self.pts_seconds, np.float64, (sizes["T"],))


@dataclass(frozen=True, slots=True)
class SegmentFeatures:
    """One segment of a query through the views of a pass that show something of it.

    action: float32 (15,).
    """

    start_seconds: float
    end_seconds: float
    action: Float32Array
    views: tuple[ViewFeatures, ...]


@dataclass(frozen=True, slots=True)
class QueryFeatures:
    """A query through several views, each with frame times of its own, and its action features.

    spans: float64 (S, 2), start and end of its segments; actions: float32 (S, 15).
    """

    duration_seconds: float
    spans: Float64Array
    actions: Float32Array
    views: tuple[ViewFeatures, ...]

    def __post_init__(self) -> None:
        sizes = check_array("spans", self.spans, np.float64, ("S", 2))
        check_array("actions", self.actions, np.float32, (sizes["S"], ACTION_DIMENSION))

    def view(self, name: str) -> ViewFeatures:
        """The features of one view. Raises KeyError for a missing view."""
        for features in self.views:
            if features.name == name:
                return features
        raise KeyError(name)
