"""Tracks without a network: optical flow minus the camera's motion."""

from __future__ import annotations

import numpy as np

from common.types import Float32Array, FrameBatch, Tracks
from embedder.tracking.association import Region, TrackBuilder
from embedder.tracking.flow import FlowFinder, is_cut, moving_regions, small_grey


class MotionTracker:
    """Tracks regions that move relative to the camera's motion. Deterministic; no weights."""

    name = "motion"
    fingerprint = "motion-1"
    frames_per_second = 8.0

    def track(self, batch: FrameBatch) -> Tracks:
        """See `Tracker.track`. Nothing is followed across a cut."""
        builder = TrackBuilder(batch.pts_seconds)
        greys = [small_grey(frame) for frame in batch.frames]
        finder = FlowFinder()
        explained = 0
        for index in range(1, len(greys)):
            before, now = greys[index - 1], greys[index]
            if is_cut(before, now):
                builder.cut()
                continue
            explained += 1
            builder.add(index, _regions(finder.residual(before, now)))
        return builder.tracks(explained / max(len(greys) - 1, 1))


def _regions(residual: Float32Array) -> list[Region]:
    """The moving regions, in fractions of the diagonal. residual: float32 (h, w, 2), pixels."""
    diagonal = float(np.hypot(*residual.shape[:2]))
    _, labels, pixels, centroids = moving_regions(residual)
    # The centre of a pixel is at half a pixel, so that a mirrored picture has mirrored centroids.
    centres = (centroids + 0.5) / diagonal
    return [
        Region(
            float(centres[label][0]), float(centres[label][1]), float(pixels[label]) / diagonal**2
        )
        for label in labels
    ]
