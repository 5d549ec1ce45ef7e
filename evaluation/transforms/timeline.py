"""Cuts: a video assembled from ranges of the original and of partners, with its ground truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.types import Int64Array
from evaluation.records import CopiedRange
from evaluation.transforms.base import Film, Transform, TransformContext, TransformResult
from evaluation.transforms.frame_ops import whole
from evaluation.transforms.inserted_video import InsertedVideo


@dataclass(frozen=True, slots=True)
class Cut:
    """Consecutive frames of a result.

    frames: int64 (n,), frame numbers in the original, or in `guest` if given. [first, stop): the range of
    the original that they show. in_order: see `CopiedRange`.
    """

    frames: Int64Array
    first: int = 0
    stop: int = 0
    guest: InsertedVideo | None = None
    in_order: bool = True


def stretch(first: int, stop: int, tempo: float = 1.0) -> Cut:
    """Frames [first, stop), `tempo` times as fast."""
    count = max(1, round((stop - first) / tempo))
    offsets = np.arange(count, dtype=np.int64) * (stop - first) // count
    return Cut(first + offsets, first, stop)


def backwards(first: int, stop: int) -> Cut:
    """Frames [first, stop) from the last to the first."""
    frames = np.arange(stop - 1, first - 1, -1, dtype=np.int64)
    return Cut(frames, first, stop, in_order=stop - first == 1)


def freeze_frame(frame: int, count: int) -> Cut:
    """One frame shown `count` times. Its times correspond to no single time of the original."""
    return Cut(np.full(count, frame, dtype=np.int64), frame, frame + 1, in_order=count == 1)


def partner_frames(guest: InsertedVideo, first: int, stop: int) -> Cut:
    """Frames [first, stop) of a partner, which plays in a loop."""
    return Cut(np.arange(first, stop, dtype=np.int64), guest=guest)


def play(film: Film, cuts: Iterable[Cut]) -> TransformResult:
    """Concatenate cuts; partners get the original's size. Empty cuts are skipped."""
    non_empty = [cut for cut in cuts if len(cut.frames)]
    height, width = film.frames.shape[1:3]
    rate = film.frames_per_second
    frames = np.empty((sum(len(cut.frames) for cut in non_empty), height, width, 3), dtype=np.uint8)
    pieces: list[CopiedRange] = []
    start = 0
    for cut in non_empty:
        end = start + len(cut.frames)
        for index, number in zip(range(start, end), cut.frames.tolist(), strict=True):
            frames[index] = (
                film.frames[number] if cut.guest is None else cut.guest.frame(number, width, height)
            )
        if cut.guest is None:
            pieces.append(
                CopiedRange(
                    query_start_seconds=start / rate,
                    query_end_seconds=end / rate,
                    ref_start_seconds=cut.first / rate,
                    ref_end_seconds=cut.stop / rate,
                    in_order=cut.in_order,
                )
            )
        start = end
    partners = dict.fromkeys(cut.guest.video_id for cut in non_empty if cut.guest is not None)
    return TransformResult(Film(frames, rate), tuple(pieces), tuple(partners))


def compose_ranges(
    inner: Sequence[CopiedRange], outer: Sequence[CopiedRange]
) -> tuple[CopiedRange, ...]:
    """Pieces of a video that was edited twice, in the order of the outer ones.

    inner: what the first edit shows of the original; outer: what the second shows of the first. Where
    they overlap, times are carried over in proportion. A piece without order in time is taken as a whole:
    its parts cannot be assigned to parts of the other."""
    pieces = []
    for late in outer:
        for early in inner:
            start = max(late.ref_start_seconds, early.query_start_seconds)
            end = min(late.ref_end_seconds, early.query_end_seconds)
            if end <= start:
                continue
            query = (late.query_start_seconds, late.query_end_seconds)
            ref = (early.ref_start_seconds, early.ref_end_seconds)
            if late.in_order:
                middle = (late.ref_start_seconds, late.ref_end_seconds)
                query = (_carry(start, middle, query), _carry(end, middle, query))
            if early.in_order:
                middle = (early.query_start_seconds, early.query_end_seconds)
                ref = (_carry(start, middle, ref), _carry(end, middle, ref))
            pieces.append(CopiedRange(*query, *ref, in_order=late.in_order and early.in_order))
    return tuple(pieces)


def chain(film: Film, context: TransformContext, steps: Iterable[Transform]) -> TransformResult:
    """Apply edits in order; each gets partners that no earlier edit used."""
    result = TransformResult(film, whole(film))
    for step in steps:
        used = len(result.partners)
        later = TransformContext(context.rng, _partners_from(context, used))
        next_result = step.apply(result.film, later)
        result = TransformResult(
            next_result.film,
            compose_ranges(result.pieces, next_result.pieces),
            tuple(dict.fromkeys((*result.partners, *next_result.partners))),
            max(result.crf, next_result.crf),
        )
    return result


def _partners_from(context: TransformContext, first: int) -> Callable[[int], tuple[str, Film]]:
    return lambda index: context.partner(first + index)


def _carry(time: float, from_range: tuple[float, float], to_range: tuple[float, float]) -> float:
    """Map a time from one range to another linearly; the ends map exactly to the ends."""
    if time == from_range[0]:
        return to_range[0]
    if time == from_range[1]:
        return to_range[1]
    share = (time - from_range[0]) / (from_range[1] - from_range[0])
    return to_range[0] + share * (to_range[1] - to_range[0])


def cutting(
    name: str,
    cut: Callable[[Film, TransformContext], Sequence[Cut]],
    partners: int = 0,
    **parameters: Any,
) -> Transform:
    """A temporal transform made of cuts. partners: see `Transform`."""

    def apply(film: Film, context: TransformContext) -> TransformResult:
        return play(film, cut(film, context))

    return Transform(name, "temporal", apply, parameters, partners)
