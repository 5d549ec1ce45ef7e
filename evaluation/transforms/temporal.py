"""Edits of time, each with the ranges it copies.

A video that is too short for an edit gets as much of it as possible, and the pieces say what is there: an
excerpt longer than the video is the whole video; a video of one frame cannot be shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.transforms.base import Film, Transform, TransformContext, TransformResult
from evaluation.transforms.frame_ops import each
from evaluation.transforms.geometric import centre_crop
from evaluation.transforms.inserted_video import guest
from evaluation.transforms.timeline import (
    Cut,
    backwards,
    chain,
    cutting,
    freeze_frame,
    partner_frames,
    stretch,
)

_MIN_SECONDS = 2.0
_MAX_PARTNER_SECONDS = 10.0
_SHOWN_FPS = 5.0
_MASHUP_SECONDS, _MASHUP_CUTS = 2.0, 10
_LOOP_SECONDS = 3.0
_SHUFFLE_SECONDS = 1.5
_FREEZE_SECONDS = 2.0


def speed(name: str, factor: float) -> Transform:
    """The whole video, `factor` times as fast."""
    return cutting(
        name, lambda film, _context: [stretch(0, len(film.frames), factor)], factor=factor
    )


def trim(name: str, first: float, last: float) -> Transform:
    """Keeps the range between two shares of the video, widened to 2 s if the video is that long."""

    def cut(film: Film, _context: TransformContext) -> Sequence[Cut]:
        total = len(film.frames)
        min_frames = max(round(total * (last - first)), _frames(film, _MIN_SECONDS))
        count = min(total, max(1, min_frames))
        # Widen on both sides, within the video.
        start = round(total * (first + last) / 2 - count / 2)
        if first == 0.0:
            start = 0
        elif last == 1.0:
            start = total - count
        start = min(max(0, start), total - count)
        return [stretch(start, start + count)]

    return cutting(name, cut, kept=f"{first:g} to {last:g}", at_least_seconds=_MIN_SECONDS)


def excerpt(name: str, seconds: float) -> Transform:
    """A range of that length at a random place; the whole video if it is shorter."""

    def cut(film: Film, context: TransformContext) -> Sequence[Cut]:
        return [stretch(*_anywhere(film, seconds, context.rng))]

    return cutting(name, cut, seconds=seconds)


def insert(name: str, seconds: float) -> Transform:
    """A range of that length at a random place, in the middle of 10 to 20 s of a partner."""

    def cut(film: Film, context: TransformContext) -> Sequence[Cut]:
        host = guest(context, 0, film)
        first, stop = _anywhere(film, seconds, context.rng)
        host_frames = _frames(film, float(context.rng.uniform(10.0, 20.0)))
        start = int(context.rng.integers(0, len(host)))
        middle = start + host_frames // 2
        before, after = (
            partner_frames(host, start, middle),
            partner_frames(host, middle, start + host_frames),
        )
        return [before, stretch(first, stop), after]

    return cutting(name, cut, 1, seconds=seconds, partner_seconds="10 to 20")


def intro(name: str, seconds: float) -> Transform:
    """So much of a partner, then the whole video."""

    def cut(film: Film, context: TransformContext) -> Sequence[Cut]:
        before = partner_frames(guest(context, 0, film), 0, _frames(film, seconds))
        return [before, stretch(0, len(film.frames))]

    return cutting(name, cut, 1, seconds=seconds)


def mashup(name: str, seconds: float) -> Transform:
    """Ranges of that length, in order, each followed by one of a partner as long."""

    def cut(film: Film, context: TransformContext) -> Sequence[Cut]:
        other = guest(context, 0, film)
        long = _frames(film, seconds)
        total = min(len(film.frames), long * _MASHUP_CUTS)
        cuts = []
        for start in range(0, total, long):
            cuts.append(stretch(start, min(total, start + long)))
            cuts.append(partner_frames(other, start, start + long))
        return cuts

    return cutting(name, cut, 1, seconds_each=seconds, cuts_at_most=_MASHUP_CUTS)


def _fps_drop(film: Film, _context: TransformContext) -> Sequence[Cut]:
    total, rate = len(film.frames), film.frames_per_second
    number = np.arange(total, dtype=np.int64)
    if rate <= _SHOWN_FPS:
        return [Cut(number, 0, total)]
    numbers = np.floor(number * (_SHOWN_FPS / rate) + 1e-9)
    return [Cut(np.ceil(numbers * (rate / _SHOWN_FPS) - 1e-9).astype(np.int64), 0, total)]


def _concatenate(film: Film, context: TransformContext) -> Sequence[Cut]:
    before, after = guest(context, 0, film), guest(context, 1, film)
    most = _frames(film, _MAX_PARTNER_SECONDS)
    return [
        partner_frames(before, 0, min(most, len(before))),
        stretch(0, len(film.frames)),
        partner_frames(after, 0, min(most, len(after))),
    ]


def _loop(film: Film, _context: TransformContext) -> Sequence[Cut]:
    first = _frames(film, _LOOP_SECONDS)
    if len(film.frames) > first:
        return [stretch(0, first)] * 3
    return [stretch(0, len(film.frames))] * 2


def _shuffle(film: Film, context: TransformContext) -> Sequence[Cut]:
    total = len(film.frames)
    count = min(total, max(2, round(film.duration_seconds / _SHUFFLE_SECONDS)))
    ends = [round(total * index / count) for index in range(count + 1)]
    order = context.rng.permutation(count)
    if count > 1 and bool(np.all(np.diff(order) == 1)):
        # A random order may be the original one.
        order = np.roll(order, 1)
    return [stretch(ends[index], ends[index + 1]) for index in order.tolist()]


def _reverse(film: Film, _context: TransformContext) -> Sequence[Cut]:
    return [backwards(0, len(film.frames))]


def _freeze(film: Film, _context: TransformContext) -> Sequence[Cut]:
    middle = len(film.frames) // 2
    return [
        *([stretch(0, middle)] if middle else []),
        freeze_frame(middle, _frames(film, _FREEZE_SECONDS)),
        stretch(middle, len(film.frames)),
    ]


def _ramp(film: Film, _context: TransformContext) -> Sequence[Cut]:
    total, half = len(film.frames), len(film.frames) // 2
    return [*([stretch(0, half, 0.75)] if half else []), stretch(half, total, 1.5)]


def _jump_cuts(film: Film, _context: TransformContext) -> Sequence[Cut]:
    total = len(film.frames)
    long, removed = _frames(film, 1.5), _frames(film, 0.5)
    return [stretch(start, min(total, start + long)) for start in range(0, total, long + removed)]


_SLOWER = speed("slower", 0.8)


def _slow_zoom(film: Film, context: TransformContext) -> TransformResult:
    closer = each(film, centre_crop(0.2)(film, context))
    return chain(closer, context, (_SLOWER,))


def _anywhere(film: Film, seconds: float, rng: np.random.Generator) -> tuple[int, int]:
    """[first, stop) of a random range of that length, or of the whole video if it is shorter."""
    count = min(len(film.frames), _frames(film, seconds))
    first = int(rng.integers(0, len(film.frames) - count + 1))
    return first, first + count


def _frames(film: Film, seconds: float) -> int:
    """Number of frames in that time, at least 1."""
    return max(1, round(seconds * film.frames_per_second))


TRANSFORMS = (
    speed("speed_0.5", 0.5),
    speed("speed_2", 2.0),
    cutting("fps_drop", _fps_drop, shown_fps=_SHOWN_FPS),
    trim("trim_start", 0.25, 1.0),
    trim("trim_end", 0.0, 0.7),
    trim("trim_middle", 0.2, 0.8),
    excerpt("excerpt_2", 2.0),
    excerpt("excerpt_3", 3.0),
    excerpt("excerpt_5", 5.0),
    insert("insert_2", 2.0),
    insert("insert_3", 3.0),
    insert("insert_5", 5.0),
    cutting("concatenate", _concatenate, 2, partner_seconds=f"up to {_MAX_PARTNER_SECONDS:g} each"),
    mashup("mashup", _MASHUP_SECONDS),
    cutting("loop", _loop, seconds=_LOOP_SECONDS, times="3, or all of it twice"),
    cutting("shuffle", _shuffle, seconds_each=_SHUFFLE_SECONDS),
    cutting("reverse", _reverse),
    cutting("freeze", _freeze, seconds=_FREEZE_SECONDS, at="the middle"),
    cutting("ramp", _ramp, factors="0.75, then 1.5"),
    cutting("jump_cuts", _jump_cuts, kept_seconds=1.5, dropped_seconds=0.5),
    Transform("slow_zoom", "temporal", _slow_zoom, {"factor": 0.8, "cut_off_each_side": 0.2}),
)
