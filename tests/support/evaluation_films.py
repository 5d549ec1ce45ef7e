"""Small videos whose frames can be identified, and checks of the ranges that an edit reports."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import UInt8Array
from evaluation.records import CopiedRange
from evaluation.transforms.base import Film, TransformResult

ORIGINAL = 0


def numbered(count: int, rate: float = 16.0, who: int = ORIGINAL) -> Film:
    """A video of single-colour frames: red and green are the frame's number, blue is `who`."""
    number = np.arange(count)
    colours = np.stack([number // 256, number % 256, np.full(count, who)], axis=-1)
    frames = np.broadcast_to(colours[:, None, None, :], (count, 6, 8, 3)).astype(np.uint8)
    return Film(frames, rate)


def read_numbers(film: Film) -> tuple[list[int], list[int]]:
    """The number and the video of every frame."""
    middle = film.frames[:, film.frames.shape[1] // 2, film.frames.shape[2] // 2].astype(int)
    return (middle[:, 0] * 256 + middle[:, 1]).tolist(), middle[:, 2].tolist()


def numbered_partner(index: int) -> tuple[str, Film]:
    """Partner videos with other frame rates, shorter and longer than needed."""
    count, rate = ((60, 25.0), (7, 8.0), (300, 16.0))[index % 3]
    return f"partner {index}", numbered(count, rate, who=100 + index)


def drawn(width: int, height: int, count: int, seed: int = 1, rate: float = 16.0) -> Film:
    """A video of soft colours that move to the right."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    ground = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    return Film(np.stack([np.roll(ground, at, axis=1) for at in range(count)]), rate)


def flat(colour: tuple[int, int, int], width: int = 64, height: int = 48, count: int = 3) -> Film:
    """A video of one colour."""
    frames: UInt8Array = np.empty((count, height, width, 3), dtype=np.uint8)
    frames[:] = colour
    return Film(frames, 16.0)


def drawn_partner(index: int) -> tuple[str, Film]:
    """Partner videos that are portrait, tiny or of a single frame."""
    size = ((40, 60, 9), (61, 33, 30), (20, 20, 1))[index % 3]
    return f"partner {index}", drawn(*size, seed=50 + index, rate=(8.0, 16.0, 25.0)[index % 3])


def check_truth(
    made: TransformResult, original: Film, tolerance_seconds: float, edge_frames: float = 0
) -> None:
    """Compare the pieces of an edit of a numbered video with the content of its frames.

    A frame must show the original exactly where a piece covers it. In a piece that is in order, it must
    show the time that follows from its own time. Frames within `edge_frames` of the ends of a piece are
    not checked.
    """
    rate, old_rate = made.film.frames_per_second, original.frames_per_second
    numbers, films = read_numbers(made.film)
    for at, (number, film) in enumerate(zip(numbers, films, strict=True)):
        now, shown = (at + 0.25) / rate, number / old_rate
        if any(abs(now - end) < edge_frames / rate for one in made.pieces for end in _ends(one)):
            continue
        covering = [
            one for one in made.pieces if one.query_start_seconds <= now < one.query_end_seconds
        ]
        if film != ORIGINAL:
            assert not any(one.in_order for one in covering), f"frame {at} is a partner's"
            continue
        assert covering, f"frame {at} shows the original and lies in no piece"
        assert any(_shows(one, at / rate, shown, tolerance_seconds) for one in covering), (
            f"frame {at} shows {shown:.3f} s, the pieces say {covering}"
        )
        for one in covering:
            assert not one.in_order or _shows(one, at / rate, shown, tolerance_seconds)


def _ends(piece: CopiedRange) -> tuple[float, float]:
    return piece.query_start_seconds, piece.query_end_seconds


def _shows(piece: CopiedRange, now: float, shown: float, tolerance: float) -> bool:
    start, end = piece.ref_start_seconds, piece.ref_end_seconds
    if not start - tolerance <= shown <= end + tolerance:
        return False
    if not piece.in_order:
        return True
    long = piece.query_end_seconds - piece.query_start_seconds
    expected = start + (now - piece.query_start_seconds) / long * (end - start)
    return abs(expected - shown) <= tolerance
