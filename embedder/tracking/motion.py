"""Motion as tracks without a network: optical flow, the camera's own motion taken away."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from common.pixels import shrink
from common.types import BoolArray, Float32Array, Float64Array, FrameBatch, Tracks, UInt8Array
from embedder.tracking.association import Region, TrackBuilder
from embedder.tracking.camera import camera_flow

# Flow is found on small grey pictures: objects a few pixels wide are enough to describe how they move.
_LONG_SIDE = 160
# A cut changes more than this share of the picture beyond recognition; flow across it means nothing.
_CUT_DIFFERENCE = 45.0
_MIN_MOTION_PIXELS = 0.6
_MIN_AREA_SHARE = 0.004
_MAX_AREA_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class _Scale:
    """From pixels of the small picture to fractions of the frame diagonal."""

    diagonal: float

    def places(self, pixels: Float64Array) -> Float64Array:
        return pixels / self.diagonal


class MotionTracker:
    """Follows regions that move against the camera's motion. Deterministic; no weights."""

    name = "motion"
    fingerprint = "motion-1"
    frames_per_second = 8.0

    def track(self, batch: FrameBatch) -> Tracks:
        """See `Tracker.track`. Nothing is followed across a cut."""
        times = batch.pts_seconds
        builder = TrackBuilder(times)
        greys = [_small_grey(frame) for frame in batch.frames]
        explained = 0
        if len(greys) > 1:
            height, width = greys[0].shape
            scale = _Scale(float(np.hypot(height, width)))
            flow_finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
            for index in range(1, len(greys)):
                before, now = greys[index - 1], greys[index]
                if float(cv2.absdiff(before, now).mean()) > _CUT_DIFFERENCE:
                    builder.cut()
                    continue
                flow = flow_finder.calc(before, now, None)
                residual = flow - camera_flow(flow)
                explained += 1
                builder.add(index, _regions(residual, scale))
        quality = explained / max(len(greys) - 1, 1)
        return builder.tracks(quality)


def _small_grey(frame: UInt8Array) -> UInt8Array:
    height, width = frame.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    return shrink(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), *size)


def _regions(residual: Float32Array, scale: _Scale) -> list[Region]:
    """Connected stretches of the picture that move on their own."""
    magnitude = cv2.magnitude(residual[..., 0], residual[..., 1])
    speed = cv2.GaussianBlur(magnitude, (0, 0), 1.5)
    threshold = max(_MIN_MOTION_PIXELS, 3.0 * float(np.median(speed[::2, ::2])))
    moving: BoolArray = speed > threshold
    count, _, stats, centroids = cv2.connectedComponentsWithStats(moving.astype(np.uint8))
    regions = []
    for label in range(1, count):
        pixels = float(stats[label, cv2.CC_STAT_AREA])
        if _MIN_AREA_SHARE <= pixels / speed.size <= _MAX_AREA_SHARE:
            # Pixel centres lie at half a pixel, so that a mirrored picture has mirrored centroids.
            centre = scale.places(centroids[label] + 0.5)
            regions.append(Region(float(centre[0]), float(centre[1]), pixels / scale.diagonal**2))
    return sorted(regions, key=lambda region: -region.area)
