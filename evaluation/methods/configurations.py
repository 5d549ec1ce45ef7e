"""What is compared with what: every configuration is a value, none a copy of the code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from common.errors import UsageError
from embedder.fusion import FusionMode
from embedder.visual.views import REGION_NAMES, WHOLE_NAMES

ViewsSeen: TypeAlias = Literal["all", "whole", "regions", "identity"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """How queries are described and matched.

    fusion: of visual and action features. views: all; those of the whole picture; the picture as it is
    and parts of it; the picture as it is. aligned: runs of windows, else the best window alone.
    by_frames: ranges as frames tell them, else as segments do. normalised: scores against the query's own
    non-matches.
    """

    name: str
    summary: str
    fusion: FusionMode = "storyhash"
    views: ViewsSeen = "all"
    aligned: bool = True
    by_frames: bool = True
    normalised: bool = True

    def sees(self, view: str) -> bool:
        """Whether a query is looked at through this view."""
        if self.views == "all" or view == "identity":
            return True
        return view in {"whole": WHOLE_NAMES, "regions": REGION_NAMES}.get(self.views, ())


FULL = Configuration("full", "As shipped: fused vectors, all views, aligned, normalised.")

ABLATION = (
    FULL,
    replace(FULL, name="visual-only", summary="No action features.", fusion="visual"),
    replace(FULL, name="action-only", summary="Action features alone.", fusion="action"),
    replace(FULL, name="paper-fusion", summary="Raw concatenation, as published.", fusion="paper"),
    replace(FULL, name="no-regions", summary="The whole picture only.", views="whole"),
    replace(
        FULL, name="no-turns", summary="Parts, but neither turned nor inverted.", views="regions"
    ),
    replace(FULL, name="one-view", summary="The picture as it is.", views="identity"),
    replace(
        FULL,
        name="no-alignment",
        summary="The best window decides.",
        aligned=False,
        by_frames=False,
    ),
    replace(FULL, name="no-frames", summary="Segments tell the ranges.", by_frames=False),
    replace(
        FULL, name="no-normalisation", summary="Strangers are not looked at.", normalised=False
    ),
)

FUSIONS = ("full", "visual-only", "action-only", "paper-fusion")
"""Those of ABLATION that differ in nothing but the fusion."""


def chosen_configurations(names: Iterable[str]) -> tuple[Configuration, ...]:
    """Those of ABLATION by name, in its order, all for no name; FULL is always the first.

    Raises UsageError for a name that is none.
    """
    wanted = set(names)
    known = {one.name for one in ABLATION}
    unknown = sorted(wanted - known)
    if unknown:
        raise UsageError(
            f"no configuration {unknown[0]!r}; there are {', '.join(one.name for one in ABLATION)}"
        )
    return tuple(one for one in ABLATION if not wanted or one is FULL or one.name in wanted)
