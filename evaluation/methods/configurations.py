"""The configurations of the ablation. Each is a value, not a copy of code."""

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
    """How queries are embedded and matched.

    fusion: of visual and action features. views: all; `whole` picture only; identity and `regions`;
    `identity` only. aligned: runs of windows, else only the best window. by_frames: ranges from frame
    codes, else from segments. normalised: scores are normalised by the query's background scores.
    verified: the pictures of doubtful matches are compared.
    """

    name: str
    summary: str
    fusion: FusionMode = "storyhash"
    views: ViewsSeen = "all"
    aligned: bool = True
    by_frames: bool = True
    normalised: bool = True
    verified: bool = True

    def sees(self, view: str) -> bool:
        """Whether a query is embedded through this view."""
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
    replace(FULL, name="no-turns", summary="Parts, but not rotated or inverted.", views="regions"),
    replace(FULL, name="one-view", summary="The picture as it is.", views="identity"),
    replace(
        FULL,
        name="no-alignment",
        summary="The best window decides.",
        aligned=False,
        by_frames=False,
    ),
    replace(FULL, name="no-frames", summary="Ranges from segments.", by_frames=False),
    replace(FULL, name="no-normalisation", summary="No score normalisation.", normalised=False),
    replace(FULL, name="no-verification", summary="No pictures are compared.", verified=False),
)

FUSIONS = ("full", "visual-only", "action-only", "paper-fusion")
"""The configurations of ABLATION that differ only in the fusion."""


def chosen_configurations(names: Iterable[str]) -> tuple[Configuration, ...]:
    """The configurations of ABLATION with these names, in its order; all without names. FULL is always
    the first.

    Raises UsageError for an unknown name.
    """
    chosen = set(names)
    existing = {configuration.name for configuration in ABLATION}
    unknown = sorted(chosen - existing)
    if unknown:
        raise UsageError(
            f"no configuration {unknown[0]!r}; there are {', '.join(each.name for each in ABLATION)}"
        )
    return tuple(
        configuration
        for configuration in ABLATION
        if not chosen or configuration is FULL or configuration.name in chosen
    )
