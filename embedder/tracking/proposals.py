"""Proposes objects to track, without a prompt by a user.

Moving points come first; then a grid of points fills the remaining places. Of two masks of the same
object, the first is kept (non-maximum suppression by mask IoU).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array
from embedder.tracking.mask_segmenter import Masks, MaskSession

# Points per row of the grid.
_GRID = 8
# Two masks with a larger IoU than this show the same object.
SAME_IOU = 0.5
# Smaller masks are noise, larger ones the background. Fractions of the picture.
_MIN_AREA_SHARE = 0.002
_MAX_AREA_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Proposal:
    """An object. point: float64 (2,), xy as fractions of width and height. mask: bool (h, w)."""

    point: Float64Array
    mask: BoolArray


@dataclass(frozen=True, slots=True)
class Proposer:
    """Proposes objects above the minimum IoU and stability; see `Sam2Settings`."""

    min_predicted_iou: float
    min_stability: float

    def moving(
        self, session: MaskSession, points: Float64Array, covered: list[BoolArray], limit: int
    ) -> list[Proposal]:
        """At most `limit` objects at moving points, in the order of the points. covered: masks of the
        followed objects."""
        if not len(points):
            return []
        masks = session.propose(points)
        return self._distinct(points, masks, range(len(points)), covered, limit)

    def still(self, session: MaskSession, covered: list[BoolArray], limit: int) -> list[Proposal]:
        """At most `limit` objects at the points of a grid, highest trust times stability first. covered:
        as in `moving`."""
        points = np.array([point for point in grid_points() if not _covered(point, covered)])
        if not len(points) or limit < 1:
            return []
        masks = session.propose(points)
        surest = np.argsort(-masks.trust * masks.stability, kind="stable")
        return self._distinct(points, masks, surest.tolist(), covered, limit)

    def _distinct(
        self,
        points: Float64Array,
        masks: Masks,
        order: range | list[int],
        covered: list[BoolArray],
        limit: int,
    ) -> list[Proposal]:
        inside = masks.inside
        share = inside.mean(axis=(1, 2))
        good = (
            (masks.trust >= self.min_predicted_iou)
            & (masks.stability >= self.min_stability)
            & (share >= _MIN_AREA_SHARE)
            & (share <= _MAX_AREA_SHARE)
        )
        ordered = [index for index in order if good[index]]
        if not ordered:
            return []
        # The masks that are taken come first and are always kept. The proposals follow in their order.
        same = pairwise_iou(np.stack([*covered, *inside[ordered]])) > SAME_IOU
        used_rows = list(range(len(covered)))
        proposals: list[Proposal] = []
        for row, index in enumerate(ordered, start=len(covered)):
            if len(proposals) < limit and not same[row, used_rows].any():
                used_rows.append(row)
                proposals.append(Proposal(points[index], inside[index]))
        return proposals


def grid_points() -> Iterator[Float64Array]:
    """68 points, float64 (2,), xy as fractions of width and height. Every other row is shifted by half a
    step: the gaps are smaller than in a square grid, and the mirrored grid is the same."""
    rows = _GRID + 1
    for row in range(rows):
        for column in range(_GRID - row % 2):
            yield np.array([(column + 0.5 + 0.5 * (row % 2)) / _GRID, (row + 0.5) / rows])


def _covered(point: Float64Array, masks: list[BoolArray]) -> bool:
    return any(mask[int(point[1] * mask.shape[0]), int(point[0] * mask.shape[1])] for mask in masks)


def pairwise_iou(masks: BoolArray) -> Float32Array:
    """Intersection over union, float32 (N, N), of masks, bool (N, h, w); 0 if both are empty."""
    flat = masks.reshape(len(masks), int(np.prod(masks.shape[1:]))).astype(np.float32)
    both = flat @ flat.T
    size = flat.sum(axis=1)
    union = size[:, None] + size[None] - both
    return (both / np.maximum(union, 1)).astype(np.float32)
