"""Scenes of single-colour discs and a segmenter without errors, so that the correct tracks are known."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from common.types import Float64Array, FrameBatch, UInt8Array
from embedder.tracking.mask_segmenter import NOTHING, Masks

HEIGHT, WIDTH = 180, 320
RED, GREEN, BLUE, WHITE = (250, 60, 60), (40, 220, 60), (20, 20, 140), (240, 240, 240)

# The centre in pixels and the radius of a disc at a moment; None while it is not visible.
Path = Callable[[int], tuple[float, float, float] | None]


def scene(moments: int, discs: dict[tuple[int, int, int], Path], rate: float = 4.0) -> FrameBatch:
    """Discs on a grey background with grain. The first disc is in front.

    No two neighbouring pixels of the background have the same colour, so it is never an object; its grain
    shows the optical flow that it does not move.
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    grain = np.random.default_rng(5).normal(0, 60, (HEIGHT, WIDTH, 3))
    ground = np.clip(90 + cv2.GaussianBlur(grain, (0, 0), 2), 0, 255).astype(np.uint8)
    frames = np.repeat(ground[None], moments, axis=0)
    for moment in range(moments):
        for colour, path in reversed(discs.items()):
            place = path(moment)
            if place is not None:
                at_x, at_y, radius = place
                frames[moment, (x - at_x) ** 2 + (y - at_y) ** 2 < radius**2] = colour
    return FrameBatch(frames, np.arange(moments) / rate)


class PerfectSegmenter:
    """Treats all pixels of exactly one colour as one object. forgetful: an object that was hidden is
    lost, as with a network that forgets. sureness: the trust of every object."""

    fingerprint = "perfect"

    def __init__(self, *, forgetful: bool = False, sureness: float = 0.9) -> None:
        self.forgetful = forgetful
        self.sureness = sureness
        self.sessions: list[PerfectSession] = []

    def start(self, moments: int) -> PerfectSession:
        self.sessions.append(PerfectSession(self))
        return self.sessions[-1]


class PerfectSession:
    """See `MaskSession`. `followed`: the numbers given to `follow`, per call."""

    def __init__(self, segmenter: PerfectSegmenter) -> None:
        self._segmenter = segmenter
        self._colours: list[UInt8Array] = []
        self._lost: set[int] = set()
        self._picture: UInt8Array = np.zeros((1, 1, 3), np.uint8)
        self.followed: list[list[int]] = []
        self.proposed_points = 0

    def look(self, picture: UInt8Array) -> Masks:
        self._picture = picture
        return self._masks()

    def propose(self, points: Float64Array) -> Masks:
        self.proposed_points += len(points)
        return self._of([self._colour_at(point) for point in points])

    def follow(self, things: list[int], points: Float64Array) -> Masks:
        self.followed.append(list(things))
        for thing, point in zip(things, points, strict=True):
            assert thing <= len(self._colours), "numbers must come one after the other"
            if thing == len(self._colours):
                self._colours.append(self._colour_at(point))
            self._colours[thing] = self._colour_at(point)
            self._lost.discard(thing)
        return self._masks()

    def _colour_at(self, point: Float64Array) -> UInt8Array:
        height, width = self._picture.shape[:2]
        return self._picture[int(point[1] * height), int(point[0] * width)]

    def _masks(self) -> Masks:
        masks = self._of(self._colours)
        for thing, mask in enumerate(masks.logits):
            if self._segmenter.forgetful and not (mask > 0).any():
                self._lost.add(thing)
            if thing in self._lost:
                mask[:] = -10.0
        return Masks(masks.logits, masks.trust * (masks.logits > 0).any(axis=(1, 2)))

    def _of(self, colours: list[UInt8Array]) -> Masks:
        if not colours:
            return NOTHING
        # The grid of a mask is square, as with a network.
        rows = np.arange(128) * self._picture.shape[0] // 128
        columns = np.arange(128) * self._picture.shape[1] // 128
        small = self._picture[rows][:, columns]
        inside = np.stack([(small == colour).all(axis=-1) for colour in colours])
        trust = np.full(len(colours), self._segmenter.sureness, dtype=np.float32)
        return Masks(np.where(inside, 10.0, -10.0).astype(np.float32), trust)
