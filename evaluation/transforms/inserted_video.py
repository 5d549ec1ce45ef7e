"""A partner video inserted by a transform: at the original's frame rate, any length, any size."""

from __future__ import annotations

from dataclasses import dataclass

from common.types import UInt8Array
from evaluation.transforms.base import Film, TransformContext
from evaluation.transforms.frame_ops import cover


@dataclass(frozen=True, slots=True)
class InsertedVideo:
    """A partner, played in a loop at `frames_per_second`."""

    video_id: str
    film: Film
    frames_per_second: float

    def __len__(self) -> int:
        """Number of frames of one loop, at least 1."""
        return max(1, round(self.film.duration_seconds * self.frames_per_second))

    def still(self, number: int) -> UInt8Array:
        """Its frame at number / frames_per_second, in its own size: uint8 (H, W, 3)."""
        index = int(
            (number % len(self)) / self.frames_per_second * self.film.frames_per_second + 1e-6
        )
        return self.film.frames[min(index, len(self.film.frames) - 1)]

    def frame(self, number: int, width: int, height: int) -> UInt8Array:
        """The centre of that frame, resized to `width` x `height`."""
        return cover(self.still(number), width, height)


def guest(context: TransformContext, index: int, beside: Film) -> InsertedVideo:
    """The partner with that index, at the frame rate of `beside`."""
    video_id, film = context.partner(index)
    return InsertedVideo(video_id, film, beside.frames_per_second)
