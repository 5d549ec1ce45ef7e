"""Regions: parts of a picture that may contain another complete picture."""

from __future__ import annotations

from collections.abc import Collection

from common.types import UInt8Array
from embedder.visual.inner_rectangles import inner_rectangles
from embedder.visual.letterbox import within_border
from embedder.visual.picture_grid import MOST_CELLS, cells
from embedder.visual.steady_edges import SteadyEdges

# Top, bottom, left, right as fractions of height and width.
_CUTS: dict[str, tuple[float, float, float, float]] = {
    "left": (0, 1, 0, 0.5),
    "right": (0, 1, 0.5, 1),
    "top": (0, 0.5, 0, 1),
    "bottom": (0.5, 1, 0, 1),
    "top_left": (0, 0.5, 0, 0.5),
    "top_right": (0, 0.5, 0.5, 1),
    "bottom_left": (0.5, 1, 0, 0.5),
    "bottom_right": (0.5, 1, 0.5, 1),
    "centre": (0.25, 0.75, 0.25, 0.75),
    "middle": (0.25, 0.75, 0, 1),
}
CUT_NAMES = tuple(_CUTS)

TRIMMED = "trimmed"
INNER_NAMES = ("inner", "inner_2", "inner_3")
CELL_NAMES = tuple(f"cell_{number}" for number in range(1, MOST_CELLS + 1))
FOUND_NAMES = (*INNER_NAMES, TRIMMED, *CELL_NAMES)
"""Regions that must be searched for: pictures within the picture, the picture without bars, and the cells
of a grid of pictures, row by row."""


def cut(frames: UInt8Array, name: str) -> UInt8Array:
    """The named part (one of CUT_NAMES) of uint8 (B, H, W, 3), as a numpy view."""
    top, bottom, left, right = _CUTS[name]
    height, width = frames.shape[1:3]
    rows = slice(round(top * height), max(round(bottom * height), round(top * height) + 1))
    columns = slice(round(left * width), max(round(right * width), round(left * width) + 1))
    return frames[:, rows, columns]


def found_regions(frames: UInt8Array, names: Collection[str]) -> dict[str, UInt8Array]:
    """Those of these regions that the pictures have, by name, as numpy views. Names that are none of
    FOUND_NAMES are left out.

    frames: uint8 (B, H, W, 3), of one moment or scene.
    """
    found: dict[str, UInt8Array] = {}
    trimmed = _trimmed(frames) if TRIMMED in names else None
    if trimmed is not None:
        found[TRIMMED] = trimmed
    if not {*INNER_NAMES, *CELL_NAMES}.isdisjoint(names):
        edges = SteadyEdges.of(frames)
        inner = inner_rectangles(edges, len(INNER_NAMES))
        for name, (rows, columns) in (
            *zip(INNER_NAMES, inner, strict=False),
            *zip(CELL_NAMES, cells(edges), strict=False),
        ):
            if name in names:
                found[name] = frames[:, rows, columns]
    return found


def _trimmed(frames: UInt8Array) -> UInt8Array | None:
    """The frames without the bars of the middle frame; None if it has no bars."""
    middle = frames[len(frames) // 2]
    rows, columns = within_border(middle)
    part = frames[:, rows, columns]
    return None if part.shape == frames.shape else part
