"""The interface of networks that segment an object in a picture and follow it through later pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, UInt8Array, check_array

# Half the width of the band of logits for the stability score, as in SAM.
_STABILITY_BAND = 1.0


@dataclass(frozen=True, slots=True)
class Masks:
    """N objects in one picture.

    logits: float32 (N, h, w), covers the complete picture whatever its shape; above 0 inside the object.
    trust: float32 (N,), 0 to 1: for followed objects the probability that the object is in the picture,
    for proposed objects the predicted IoU with the true mask.
    """

    logits: Float32Array
    trust: Float32Array

    def __post_init__(self) -> None:
        sizes = check_array("logits", self.logits, np.float32, ("N", "h", "w"))
        check_array("trust", self.trust, np.float32, (sizes["N"],))

    @property
    def inside(self) -> BoolArray:
        """bool (N, h, w): True inside the object."""
        return self.logits > 0

    @property
    def stability(self) -> Float32Array:
        """float32 (N,), 0 to 1: how little the mask changes with the threshold; 0 for empty masks."""
        tight = (self.logits > _STABILITY_BAND).sum(axis=(1, 2))
        wide = (self.logits > -_STABILITY_BAND).sum(axis=(1, 2))
        return (tight / np.maximum(wide, 1)).astype(np.float32)


NOTHING = Masks(np.zeros((0, 1, 1), np.float32), np.zeros(0, np.float32))


class MaskSession(Protocol):
    """A part of a video, seen picture by picture. Objects are numbered from 0 in the order in which they
    are added."""

    def look(self, picture: UInt8Array) -> Masks:
        """Go to the next picture, uint8 (H, W, 3). Returns masks of all followed objects."""
        ...

    def propose(self, points: Float64Array) -> Masks:
        """The object at each point of the current picture, without following it.

        points: float64 (P, 2), xy as fractions of width and height.
        """
        ...

    def follow(self, numbers: list[int], points: Float64Array) -> Masks:
        """Follow the object at each point, from the current picture on. Returns masks of all followed
        objects.

        numbers: per point the number of an object that has returned, or the next new number. points: as
        in `propose`.
        """
        ...


class MaskSegmenter(Protocol):
    """Creates sessions, which share its weights."""

    @property
    def fingerprint(self) -> str:
        """Identifies weights and image size; different fingerprints mean different masks."""
        ...

    def start(self, moments: int) -> MaskSession:
        """Start a session over `moments` pictures."""
        ...
