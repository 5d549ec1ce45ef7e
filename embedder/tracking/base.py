"""The interface of trackers."""

from __future__ import annotations

from typing import Protocol

from common.types import FrameBatch, Tracks


class Tracker(Protocol):
    """Finds and tracks moving objects in a part of a video."""

    @property
    def name(self) -> str:
        """Short name, as in a profile: `motion`, `sam2`."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies weights and parameters; different fingerprints mean different tracks."""
        ...

    @property
    def frames_per_second(self) -> float:
        """Number of frames it needs per second of video."""
        ...

    def track(self, batch: FrameBatch) -> Tracks:
        """Track moving objects through one segment's frames; T = 0 or 1 gives no tracks (N = 0)."""
        ...
