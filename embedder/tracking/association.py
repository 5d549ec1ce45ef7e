"""Joins regions of successive moments into tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from common.types import Float64Array, Tracks

MAX_TRACKS = 8
# An object may be hidden this long and still be the same.
_MAX_GAP_SECONDS = 0.5
# Maximum distance from the expected position, in fractions of the frame diagonal.
_MAX_JUMP = 0.12
# Tracks of fewer moments are noise.
_MIN_MOMENTS = 3
# The area may change by this factor from one moment to the next.
_MAX_GROWTH = 4.0


@dataclass(frozen=True, slots=True)
class Region:
    """A region at one moment: centre in fractions of the diagonal, area in fractions of its square."""

    x: float
    y: float
    area: float


@dataclass(slots=True)
class _Track:
    moments: list[int]
    regions: list[Region]
    velocity: tuple[float, float] = (0.0, 0.0)
    open: bool = field(default=True)

    def expected(self, elapsed: float) -> tuple[float, float]:
        last = self.regions[-1]
        return last.x + self.velocity[0] * elapsed, last.y + self.velocity[1] * elapsed

    def extend(self, moment: int, region: Region, elapsed: float) -> None:
        last = self.regions[-1]
        # The mean of the new and the old velocity, because flow regions are noisy.
        self.velocity = (
            0.5 * self.velocity[0] + 0.5 * (region.x - last.x) / elapsed,
            0.5 * self.velocity[1] + 0.5 * (region.y - last.y) / elapsed,
        )
        self.moments.append(moment)
        self.regions.append(region)


class TrackBuilder:
    """Joins the regions of each moment to the tracks they continue, nearest pair first."""

    def __init__(self, pts_seconds: Float64Array) -> None:
        self._pts = pts_seconds
        self._tracks: list[_Track] = []

    def cut(self) -> None:
        """End all tracks, because the scene has changed."""
        for track in self._tracks:
            track.open = False

    def add(self, moment: int, regions: Sequence[Region]) -> None:
        """Add the regions at `moment`, an index into `pts_seconds`."""
        now = float(self._pts[moment])
        pairs = []
        for number, track in enumerate(self._tracks):
            elapsed = now - float(self._pts[track.moments[-1]])
            track.open &= elapsed <= _MAX_GAP_SECONDS
            if not track.open:
                continue
            x, y = track.expected(elapsed)
            for index, region in enumerate(regions):
                growth = region.area / track.regions[-1].area
                distance = float(np.hypot(region.x - x, region.y - y))
                if distance <= _MAX_JUMP and 1 / _MAX_GROWTH <= growth <= _MAX_GROWTH:
                    pairs.append((distance + 0.02 * abs(float(np.log(growth))), number, index))
        used: set[int] = set()
        continued: set[int] = set()
        for _, number, index in sorted(pairs):
            if number in continued or index in used:
                continue
            continued.add(number)
            used.add(index)
            track = self._tracks[number]
            track.extend(moment, regions[index], now - float(self._pts[track.moments[-1]]))
        self._tracks.extend(
            _Track([moment], [region]) for index, region in enumerate(regions) if index not in used
        )

    def tracks(self, quality: float) -> Tracks:
        """The MAX_TRACKS tracks with the largest area summed over time, largest first. quality: that of
        the result."""
        worth = [
            (sum(region.area for region in track.regions), track)
            for track in self._tracks
            if len(track.moments) >= _MIN_MOMENTS
        ]
        longest = [track for _, track in sorted(worth, key=lambda pair: -pair[0])[:MAX_TRACKS]]
        shape = (len(self._pts), len(longest))
        centroids = np.zeros((*shape, 2), dtype=np.float32)
        areas = np.zeros(shape, dtype=np.float32)
        visible = np.zeros(shape, dtype=bool)
        for column, track in enumerate(longest):
            rows = np.array(track.moments)
            centroids[rows, column] = [(region.x, region.y) for region in track.regions]
            areas[rows, column] = [region.area for region in track.regions]
            visible[rows, column] = True
        return Tracks(centroids, areas, visible, self._pts, quality)
