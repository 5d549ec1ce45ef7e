"""The interface of visual backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from common.types import Float32Array, UInt8Array


class VisualBackend(Protocol):
    """A network or recipe that describes pictures as 512-d unit vectors."""

    @property
    def name(self) -> str:
        """Short name, as in a profile: `sscd`, `offline`, `clip`."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies weights and preprocessing; different fingerprints mean different vectors."""
        ...

    @property
    def frames_per_second(self) -> float:
        """Number of frames it needs per second of video."""
        ...

    @property
    def pooling(self) -> Literal["mean", "median"]:
        """How the frames of one segment or window become one vector, before L2 normalisation."""
        ...

    @property
    def views(self) -> tuple[str, ...]:
        """The views of the first pass (embedder.visual.views): `identity` first, at every frame; the
        others at fewer moments."""
        ...

    @property
    def closer_views(self) -> tuple[str, ...]:
        """The views of the second pass, at fewer moments."""
        ...

    @property
    def batch_pictures(self) -> int:
        """Best number of pictures per call, which keeps the device busy."""
        ...

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        """Describe pictures. They may have different sizes and come from different videos.

        pictures: B times uint8 (H, W, 3), RGB, upright; B may be 0. Returns float32 (B, 512), unit norm.
        """
        ...
