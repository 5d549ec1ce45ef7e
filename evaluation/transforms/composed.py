"""The original as a part of the picture: inset, split screen, grid, on a background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np

from common.types import UInt8Array
from evaluation.transforms.base import Film, Group, Transform, TransformContext, TransformResult
from evaluation.transforms.frame_ops import (
    FrameEdit,
    canvas,
    centred,
    contain,
    cover,
    each,
    paste,
    resized,
    whole,
)
from evaluation.transforms.inserted_video import InsertedVideo, guest
from evaluation.transforms.overlay_art import BLACK, WHITE, Colour, sentence, text_width, write
from evaluation.transforms.overlay_art import write_centred as centred_line

Compose: TypeAlias = Callable[[Film, TransformContext, Sequence[InsertedVideo]], FrameEdit]
"""Draws the random parameters; `guests` are the partners, in order."""

_PAGES: tuple[Colour, ...] = ((24, 24, 28), (245, 245, 245), (38, 56, 92), (232, 222, 200))
_DARK: Colour = (16, 16, 18)


def composition(
    name: str, compose: Compose, guests: int = 0, *, group: Group = "composed", **parameters: Any
) -> Transform:
    """A transform that combines every frame with frames of `guests` partners; time is unchanged."""

    def apply(film: Film, context: TransformContext) -> TransformResult:
        inserted = [guest(context, index, film) for index in range(guests)]
        edited = each(film, compose(film, context, inserted))
        partners = dict.fromkeys(video.video_id for video in inserted)
        return TransformResult(edited, whole(film), tuple(partners))

    return Transform(name, group, apply, parameters, guests)


def _inset(smallest: float, largest: float) -> Compose:
    """The original, small, over a playing partner."""

    def compose(
        film: Film, context: TransformContext, guests: Sequence[InsertedVideo]
    ) -> FrameEdit:
        height, width = film.frames.shape[1:3]
        share = context.rng.uniform(smallest, largest)
        inner_width, inner_height = max(1, round(width * share)), max(1, round(height * share))
        across, down = context.rng.uniform(0.04, 0.96, 2)
        place = round((width - inner_width) * across), round((height - inner_height) * down)
        return over(guests[0], film, (inner_width, inner_height), lambda _number: place)

    return compose


def over(
    partner: InsertedVideo,
    film: Film,
    size: tuple[int, int],
    place: Callable[[int], tuple[int, int]],
) -> FrameEdit:
    """The original over a playing partner. size: its width and height there. place: its left and top, by
    the number of the frame."""
    height, width = film.frames.shape[1:3]

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        page = partner.frame(number, width, height).copy()
        paste(page, resized(frame, *size), *place(number))
        return page

    return edit


def _reaction(film: Film, context: TransformContext, guests: Sequence[InsertedVideo]) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    page = canvas(width, height, _PAGES[int(context.rng.integers(0, len(_PAGES)))])
    light = int(page[0, 0].astype(int).sum()) > 382
    title = sentence(context.rng, 4)
    centred_line(page, title, round(height * 0.94), height * 0.045, BLACK if light else WHITE)
    inner = (max(1, round(width * 0.4)), max(1, round(height * 0.4)))
    other = (max(1, round(width * 0.5)), max(1, round(height * 0.62)))
    left_first = bool(context.rng.integers(0, 2))
    down = context.rng.uniform(0.08, 0.45)
    # Beside the reacting person; in every second video it overlaps them slightly.
    over = round(width * 0.08) if context.rng.integers(0, 2) else 0
    gap = round(width * 0.03)
    own_at = gap + over if left_first else width - gap - over - inner[0]
    other_at = width - gap - other[0] if left_first else gap

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        picture = page.copy()
        paste(picture, guests[0].frame(number, *other), other_at, round(height * 0.12))
        paste(picture, resized(frame, *inner), own_at, round(height * down))
        return picture

    return edit


def _side_by_side(
    film: Film, context: TransformContext, guests: Sequence[InsertedVideo]
) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    half = max(1, width // 2)
    second = bool(context.rng.integers(0, 2))

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        parts = [contain(frame, half, height), contain(guests[0].still(number), half, height)]
        halves = [centred(canvas(half, height, _DARK), part) for part in parts]
        return np.concatenate(halves[::-1] if second else halves, axis=1)

    return edit


def _stacked(film: Film, context: TransformContext, guests: Sequence[InsertedVideo]) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    half = max(1, height // 2)
    second = bool(context.rng.integers(0, 2))

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        parts = [cover(frame, width, half), guests[0].frame(number, width, half)]
        return np.concatenate(parts[::-1] if second else parts, axis=0)

    return edit


def _grid(film: Film, context: TransformContext, guests: Sequence[InsertedVideo]) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    cell = (max(1, width // 2), max(1, height // 2))
    order = context.rng.permutation(4).tolist()
    still_at = int(context.rng.integers(0, len(guests[2])))
    still = guests[2].frame(still_at, *cell)

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        cells = [resized(frame, *cell), guests[0].frame(number, *cell)]
        cells += [guests[1].frame(number, *cell), still]
        a, b, c, d = (cells[index] for index in order)
        return np.concatenate([np.concatenate([a, b], axis=1), np.concatenate([c, d], axis=1)])

    return edit


def blend(share: float) -> Compose:
    """The original and a playing partner, mixed; `share` is the weight of the original."""

    def compose(
        film: Film, _context: TransformContext, guests: Sequence[InsertedVideo]
    ) -> FrameEdit:
        height, width = film.frames.shape[1:3]

        def edit(frame: UInt8Array, number: int) -> UInt8Array:
            partner = guests[0].frame(number, width, height)
            return cv2.addWeighted(frame, share, partner, 1.0 - share, 0.0)

        return edit

    return compose


def _on_background(
    film: Film, context: TransformContext, guests: Sequence[InsertedVideo]
) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    inner = (max(1, round(width * 0.65)), max(1, round(height * 0.65)))
    across, down = context.rng.uniform(0.3, 0.7, 2)
    left, top = round((width - inner[0]) * across), round((height - inner[1]) * down)

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        page = soft(guests[0].still(number), width, height)
        paste(page, resized(frame, *inner), left, top)
        return page

    return edit


def _vertical_repost(
    film: Film, context: TransformContext, _guests: Sequence[InsertedVideo]
) -> FrameEdit:
    # Never larger than the original's long side: a re-post gains no detail.
    width = max(2, round(min(film.frames.shape[1:3])))
    height = max(2, round(width * 16 / 9))
    box = (width, max(1, round(height * 0.66)))
    lines = [sentence(context.rng, 4) for _ in range(2)]
    tall = contain(film.frames[0], *box).shape[0]
    capital = max(3.0, height * 0.028)
    first = max(round(capital * 1.4), (height - tall) // 2 - round(capital * 3.2))

    def edit(frame: UInt8Array, _number: int) -> UInt8Array:
        picture = centred(soft(frame, width, height), contain(frame, *box))
        for line, text in enumerate(lines):
            baseline = first + round(line * capital * 1.7)
            centred_line(picture, text, baseline, capital, WHITE, outline=BLACK)
        return picture

    return edit


def _facecam(film: Film, context: TransformContext, guests: Sequence[InsertedVideo]) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    side = max(2, round(min(height, width) * context.rng.uniform(0.24, 0.34)))
    margin = max(1, side // 8)
    right, low = (bool(side_index) for side_index in context.rng.integers(0, 2, 2))
    left = width - margin - side if right else margin
    top = height - margin - side if low else margin

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        picture = frame.copy()
        paste(picture, guests[0].frame(number, side, side), left, top)
        cv2.rectangle(picture, (left, top), (left + side - 1, top + side - 1), WHITE, 1)
        return picture

    return edit


def _ticker_and_logo(
    film: Film, context: TransformContext, _guests: Sequence[InsertedVideo]
) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    bar, strip = max(3, round(height * 0.11)), max(3, round(height * 0.075))
    hue: Colour = ((170, 16, 24), (16, 60, 150), (20, 120, 70))[int(context.rng.integers(0, 3))]
    headline = sentence(context.rng, 5).upper()
    news = "  +++  ".join(sentence(context.rng, 6) for _ in range(4)) + "  +++  "
    capital = strip * 0.5
    tape = canvas(text_width(news, capital) + 1, strip, (20, 20, 24))
    write(tape, news, 0, round(strip * 0.75), capital, WHITE)
    lower = canvas(width, bar, hue)
    write(lower, headline, bar // 3, round(bar * 0.7), bar * 0.45, WHITE, width=width - bar // 2)
    sign = canvas(max(4, round(width * 0.12)), max(3, round(height * 0.09)), hue)
    centred_line(sign, "LIVE", round(sign.shape[0] * 0.72), sign.shape[0] * 0.5)
    # A tenth of the width per second.
    step = max(1.0, width * 0.1) / film.frames_per_second

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        picture = frame.copy()
        columns = (np.arange(width) + round(number * step)) % tape.shape[1]
        paste(picture, tape[:, columns], 0, height - strip)
        paste(picture, lower, 0, height - strip - bar)
        paste(picture, sign, width - sign.shape[1] - bar // 2, bar // 2)
        return picture

    return edit


def soft(frame: UInt8Array, width: int, height: int) -> UInt8Array:
    """A picture enlarged to `width` x `height` and strongly blurred."""
    small = cover(frame, max(1, width // 8), max(1, height // 8))
    blurred = cv2.GaussianBlur(small, (0, 0), max(0.8, min(small.shape[:2]) / 14))
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)


TRANSFORMS = (
    composition("pip_large", _inset(0.5, 0.6), 1, original_of_width="0.5 to 0.6"),
    composition("pip_small", _inset(0.25, 0.33), 1, original_of_width="0.25 to 0.33"),
    composition("reaction", _reaction, 1, original_of_width=0.4, around="a page of one colour"),
    composition("split_screen_h", _side_by_side, 1, shown="whole, half as wide"),
    composition("split_screen_v", _stacked, 1, shown="the middle half"),
    composition("grid_2x2", _grid, 3, others="two films and a still"),
    composition("blend", blend(0.6), 1, original=0.6, partner=0.4),
    composition("on_background", _on_background, 1, original_of_width=0.65),
    composition("vertical_repost", _vertical_repost, aspect="9:16", around="itself, blurred"),
    composition("facecam", _facecam, 1, partner_of_short_side="0.24 to 0.34"),
    composition("ticker_and_logo", _ticker_and_logo, of_height=0.185),
)
