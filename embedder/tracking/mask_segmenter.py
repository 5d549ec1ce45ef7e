"""The interface of networks that segment an object in a picture and follow it through later pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, UInt8Array, check_array

# Half the width of the band of logits in which an outline may lie (as in SAM's own stability score).
_STABILITY_BAND = 1.0


@dataclass(frozen=True, slots=True)
class Masks:
    """N things on one picture.

    logits: float32 (N, h, w) over the whole picture, whatever its shape; above 0 where the thing is.
    trust: float32 (N,), 0 to 1: for followed things the probability that it is in the picture, for
    proposed ones the predicted IoU with the true outline.
    """

    logits: Float32Array
    trust: Float32Array

    def __post_init__(self) -> None:
        sizes = check_array("logits", self.logits, np.float32, ("N", "h", "w"))
        check_array("trust", self.trust, np.float32, (sizes["N"],))

    @property
    def inside(self) -> BoolArray:
        """bool (N, h, w)."""
        return self.logits > 0

    @property
    def stability(self) -> Float32Array:
        """float32 (N,): how little the outline moves with the threshold, 0 to 1; empty ones have 0."""
        tight = (self.logits > _STABILITY_BAND).sum(axis=(1, 2))
        wide = (self.logits > -_STABILITY_BAND).sum(axis=(1, 2))
        return (tight / np.maximum(wide, 1)).astype(np.float32)


NOTHING = Masks(np.zeros((0, 1, 1), np.float32), np.zeros(0, np.float32))


class MaskSession(Protocol):
    """One stretch of video, seen picture by picture. Things are numbered from 0 as they come."""

    def look(self, picture: UInt8Array) -> Masks:
        """Go on to the next picture, uint8 (H, W, 3); masks of everything followed so far."""
        ...

    def propose(self, points: Float64Array) -> Masks:
        """What lies at each point of the current picture; follows nothing.

        points: float64 (P, 2), xy as fractions of width and height.
        """
        ...

    def follow(self, things: list[int], points: Float64Array) -> Masks:
        """Follow from the current picture on what lies at each point; masks of everything followed.

        things: for each point the number of a thing that is there again, or the next new number.
        """
        ...


class MaskSegmenter(Protocol):
    """Makes sessions; its weights are shared by all of them."""

    @property
    def fingerprint(self) -> str:
        """Identifies weights and image size; another one makes other masks."""
        ...

    def start(self, moments: int) -> MaskSession:
        """A session over `moments` pictures."""
        ...
