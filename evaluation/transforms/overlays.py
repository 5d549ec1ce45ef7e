"""Overlays and surroundings of a picture: captions, emoji, banners, pages of social networks."""

from __future__ import annotations

import cv2

from common.types import UInt8Array
from evaluation.transforms.base import Film, TransformContext
from evaluation.transforms.frame_ops import FrameEdit, canvas, paste, per_frame
from evaluation.transforms.overlay_art import (
    BLACK,
    WHITE,
    Colour,
    face_stamp,
    heart_stamp,
    logo_stamp,
    sentence,
    star_stamp,
    text_width,
    write,
    write_centred,
)

_SUBTITLE_SECONDS = 2.0
_PAPER: Colour = (244, 245, 247)
_GREY: Colour = (110, 112, 118)
_BLUE: Colour = (24, 110, 230)


def _caption_band(film: Film, context: TransformContext) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    band = max(4, round(height * 0.24))
    page = canvas(width, height + band, WHITE)
    capital = max(3.0, band * 0.22)
    for line in (1, 2):
        text = sentence(context.rng, 5)
        write_centred(page, text, round(band * (0.42 * line - 0.02)), capital, BLACK)

    def edit(frame: UInt8Array, _number: int) -> UInt8Array:
        picture = page.copy()
        paste(picture, frame, 0, band)
        return picture

    return edit


def _subtitles(film: Film, context: TransformContext) -> FrameEdit:
    height = film.frames.shape[1]
    count = 1 + int(film.duration_seconds / _SUBTITLE_SECONDS)
    lines = [
        [sentence(context.rng, int(context.rng.integers(3, 7))) for _ in range(2)]
        for _ in range(count)
    ]
    capital = max(3.0, height * 0.045)

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        picture = frame.copy()
        pair = lines[int(number / film.frames_per_second / _SUBTITLE_SECONDS)]
        for text, baseline in zip(pair, (0.88, 0.96), strict=True):
            write_centred(picture, text, round(height * baseline), capital, WHITE, outline=BLACK)
        return picture

    return edit


def _emoji(film: Film, context: TransformContext) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    rng = context.rng
    short = min(height, width)
    signs = []
    for _ in range(int(rng.integers(3, 6))):
        side = round(short * rng.uniform(0.12, 0.24))
        kind = rng.integers(0, 4)
        if kind == 0:
            stamp = heart_stamp(side, (230, 30, 60))
        elif kind == 1:
            stamp = star_stamp(side, (250, 200, 30))
        else:
            stamp = face_stamp(side, rng)
        left, top = rng.uniform(0, 1, 2) * (width - side, height - side)
        signs.append((stamp, round(left), round(top), bool(rng.integers(0, 2))))

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        picture = frame.copy()
        # Some move up and down once per second.
        part = number / film.frames_per_second % 1.0
        hop = round(short * 0.05 * (1 - abs(2 * part - 1)))
        for stamp, left, top, hops in signs:
            stamp.put(picture, left, top - (hop if hops else 0))
        return picture

    return edit


def _social_frame(film: Film, context: TransformContext) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    unit = max(4, round(min(height, width) * 0.08))
    head, foot, side = 4 * unit, 3 * unit, unit // 2
    page = canvas(width + 2 * side, height + head + foot, WHITE)
    cv2.circle(page, (side + unit, unit + unit // 4), round(unit * 0.8), _BLUE, -1, cv2.LINE_AA)
    name = sentence(context.rng, 2)
    left, line_width = side + round(2.2 * unit), width - 2 * unit
    write(page, name, left, round(1.2 * unit), unit * 0.45, BLACK, width=line_width)
    write(page, "2 h ago", left, round(1.9 * unit), unit * 0.32, _GREY, width=line_width)
    message = sentence(context.rng, 7)
    write(
        page, message, side + unit // 4, round(3.3 * unit), unit * 0.42, BLACK, width=width - unit
    )
    below = head + height
    cv2.line(page, (0, below + 2 * unit), (page.shape[1], below + 2 * unit), _PAPER, 2)
    for index, text in enumerate(("Like", "Comment", "Share")):
        x = side + round(width * (0.06 + index / 3))
        line_width = width // 4
        cv2.circle(page, (x, below + unit), max(1, unit // 4), _GREY, 1, cv2.LINE_AA)
        write(
            page,
            text,
            x + unit // 2,
            below + round(1.2 * unit),
            unit * 0.4,
            _GREY,
            width=line_width,
        )

    def edit(frame: UInt8Array, _number: int) -> UInt8Array:
        picture = page.copy()
        paste(picture, frame, side, head)
        return picture

    return edit


def _logo_banner(film: Film, context: TransformContext) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    tall = max(4, round(height * 0.16))
    levels = context.rng.integers(30, 200, 3)
    colour: Colour = (int(levels[0]), int(levels[1]), int(levels[2]))
    strip = canvas(width, tall, colour)
    logo_stamp(round(tall * 0.8), (WHITE, colour), 1.0).put(strip, tall // 4, tall // 10)
    text = sentence(context.rng, 4).upper()
    capital = tall * 0.36
    left = round(tall * 1.35)
    line_width = max(1, min(width - left - tall // 4, text_width(text, capital)))
    write(strip, text, left, round(tall * 0.66), capital, WHITE, width=line_width)
    top = height - tall if context.rng.integers(0, 2) else 0

    def edit(frame: UInt8Array, _number: int) -> UInt8Array:
        picture = frame.copy()
        paste(picture, strip, 0, top)
        return picture

    return edit


TRANSFORMS = (
    per_frame("caption_band", "photometric", _caption_band, band_of_height=0.24, lines=2),
    per_frame("subtitles", "photometric", _subtitles, lines=2, seconds_each=_SUBTITLE_SECONDS),
    per_frame("emoji", "photometric", _emoji, signs="3 to 5", of_short_side="0.12 to 0.24"),
    per_frame("social_frame", "photometric", _social_frame, around="name, text and buttons"),
    per_frame("logo_banner", "photometric", _logo_banner, of_height=0.16, place="top or bottom"),
)
