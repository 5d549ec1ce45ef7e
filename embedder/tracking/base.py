"""The seam every tracker stands behind."""

from __future__ import annotations

from typing import Protocol

from common.types import FrameBatch, Tracks


class Tracker(Protocol):
    """Finds what moves in a stretch of video and follows it."""

    @property
    def name(self) -> str:
        """Short name, as in a profile: `motion`, `sam2`."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies weights and parameters; another one makes other tracks."""
        ...

    @property
    def frames_per_second(self) -> float:
        """How many frames of a second of video it wants to see."""
        ...

    def track(self, batch: FrameBatch) -> Tracks:
        """Follow what moves through one segment's frames; T = 0 or 1 gives no tracks (N = 0)."""
        ...
