"""Strong edits, at the limit of what a person still recognises: the original as a small part of the
picture, a corner of it, hardly any light, very few pixels, several strong edits together.

They are a group of their own: they run when they are asked for, and the figures of the other groups do
not contain them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from common.types import UInt8Array
from evaluation.transforms.base import Film, Group, Transform, TransformContext, TransformResult
from evaluation.transforms.composed import Compose, blend, composition, over
from evaluation.transforms.frame_ops import (
    FrameEdit,
    Prepare,
    apply_levels,
    canvas,
    paste,
    per_frame,
    plain,
    resized,
    table,
)
from evaluation.transforms.geometric import bars, corner_crop, limit_short_side, mirror
from evaluation.transforms.inserted_video import InsertedVideo
from evaluation.transforms.overlays import TRANSFORMS as OVERLAYS
from evaluation.transforms.photometric import TRANSFORMS as PHOTOMETRIC
from evaluation.transforms.photometric import noise
from evaluation.transforms.temporal import excerpt, insert, intro, mashup, speed
from evaluation.transforms.timeline import chain

_GROUP: Group = "hard"
_MARGIN = 0.04
_OVERLAYS = {transform.name: transform for transform in OVERLAYS}
_PHOTOMETRIC = {transform.name: transform for transform in PHOTOMETRIC}


def _corner_inset(share: float) -> Compose:
    """The original in a random corner of a playing partner, `share` of its width."""

    def compose(
        film: Film, context: TransformContext, partners: Sequence[InsertedVideo]
    ) -> FrameEdit:
        height, width = film.frames.shape[1:3]
        inner = (max(1, round(width * share)), max(1, round(height * share)))
        margin = round(min(height, width) * _MARGIN)
        right, low = (bool(place) for place in context.rng.integers(0, 2, 2))
        left = width - margin - inner[0] if right else margin
        top = height - margin - inner[1] if low else margin
        return over(partners[0], film, inner, lambda _number: (left, top))

    return compose


def _moving_inset(
    film: Film, context: TransformContext, partners: Sequence[InsertedVideo]
) -> FrameEdit:
    """The original, 0.35 of the width, moves in a straight line over a playing partner."""
    height, width = film.frames.shape[1:3]
    inner = (max(1, round(width * 0.35)), max(1, round(height * 0.35)))
    places = context.rng.uniform(0.0, 1.0, (2, 2))
    places[1] = np.where(np.abs(places[1] - places[0]) < 0.3, 1.0 - places[0], places[1])
    room = np.array([width - inner[0], height - inner[1]])
    last = max(1, len(film.frames) - 1)

    def place(number: int) -> tuple[int, int]:
        part = number / last
        left, top = np.round((places[0] * (1 - part) + places[1] * part) * room).astype(int)
        return int(left), int(top)

    return over(partners[0], film, inner, place)


def _reaction(share: float) -> Compose:
    """A person (the partner) in most of the picture; the original overlaps it, `share` of the width."""

    def compose(
        film: Film, context: TransformContext, partners: Sequence[InsertedVideo]
    ) -> FrameEdit:
        height, width = film.frames.shape[1:3]
        inner = (max(1, round(width * share)), max(1, round(height * share)))
        person = (max(1, round(width * 0.7)), max(1, round(height * 0.86)))
        colour = tuple(int(level) for level in context.rng.integers(20, 236, 3))
        page = canvas(width, height, (colour[0], colour[1], colour[2]))
        left_first = bool(context.rng.integers(0, 2))
        down = context.rng.uniform(0.05, 0.95 - share)
        at = round(width * _MARGIN) if left_first else width - inner[0] - round(width * _MARGIN)
        person_at = width - person[0] if left_first else 0

        def edit(frame: UInt8Array, number: int) -> UInt8Array:
            shown = page.copy()
            paste(shown, partners[0].frame(number, *person), person_at, height - person[1])
            paste(shown, resized(frame, *inner), at, round(height * down))
            return shown

        return edit

    return compose


def _grid_3x3(
    film: Film, context: TransformContext, partners: Sequence[InsertedVideo]
) -> FrameEdit:
    """Nine cells; the original plays in one of them."""
    height, width = film.frames.shape[1:3]
    cell = (max(1, width // 3), max(1, height // 3))
    own = int(context.rng.integers(0, 9))

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        cells = [
            resized(frame, *cell)
            if place == own
            else partners[place % len(partners)].frame(number + 7 * place, *cell)
            for place in range(9)
        ]
        rows = [np.concatenate(cells[start : start + 3], axis=1) for start in (0, 3, 6)]
        return np.concatenate(rows, axis=0)

    return edit


def _low_light(gain: float, exponent: float, sigma: float) -> Prepare:
    """Little light: values as shares of white to the power of `exponent`, times `gain`, then noise of
    standard deviation `sigma`."""
    levels = table(lambda value: 255.0 * gain * (value / 255.0) ** exponent)

    def prepare(film: Film, context: TransformContext) -> FrameEdit:
        add_noise = noise(sigma)(film, context)
        return lambda frame, number: add_noise(apply_levels(frame, levels), number)

    return prepare


def _rotate_and_fill(degrees: float) -> Prepare:
    """Rotate about the centre and enlarge until no corner is empty."""

    def edit(frame: UInt8Array) -> UInt8Array:
        height, width = frame.shape[:2]
        angle = np.deg2rad(degrees)
        aspect = max(width / height, height / width)
        scale = float(np.cos(angle) + np.sin(angle) * aspect)
        centre = ((width - 1) / 2, (height - 1) / 2)
        turn = cv2.getRotationMatrix2D(centre, degrees, scale)
        return cv2.warpAffine(frame, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)

    return plain(edit)


def _together(name: str, steps: Sequence[Transform], **parameters: object) -> Transform:
    """Several edits in this order."""

    def apply(film: Film, context: TransformContext) -> TransformResult:
        return chain(film, context, steps)

    used = ", ".join(step.name for step in steps)
    partners = sum(step.partners for step in steps)
    return Transform(name, _GROUP, apply, {"in_this_order": used, **parameters}, partners)


_MIRROR = per_frame("mirror", _GROUP, mirror(1))
_CORNER_25 = per_frame("corner_crop_25", _GROUP, corner_crop(0.25))
_CORNER_60 = per_frame("corner_crop_60", _GROUP, corner_crop(0.6), cut_off_each_side=0.6)
_BARS = per_frame("bars", _GROUP, bars(0.2, 0.2))
# Another video of the catalogue, as it is: a plain copy before the edited one.
_INTRO = intro("intro_5", 5.0)
# From somewhere in the original, so that its range is not that of the whole video.
_EXCERPT = excerpt("excerpt_3", 3.0)
_INSET = composition("pip_corner_33", _corner_inset(1 / 3), 1, group=_GROUP, original_of_width=0.33)
_FEW_PIXELS = per_frame("few_pixels", _GROUP, limit_short_side(96), crf=45)

TRANSFORMS = (
    _INSET,
    composition("pip_corner_25", _corner_inset(0.25), 1, group=_GROUP, original_of_width=0.25),
    composition("pip_moving", _moving_inset, 1, group=_GROUP, original_of_width=0.35),
    composition("reaction_40", _reaction(0.4), 1, group=_GROUP, original_of_width=0.4),
    composition("reaction_33", _reaction(1 / 3), 1, group=_GROUP, original_of_width=0.33),
    composition("grid_3x3", _grid_3x3, 3, group=_GROUP, others="eight cells of three videos"),
    composition("blend_50", blend(0.5), 1, group=_GROUP, original=0.5, partner=0.5),
    composition("blend_35", blend(0.35), 1, group=_GROUP, original=0.35, partner=0.65),
    per_frame("corner_crop_50", _GROUP, corner_crop(0.5), cut_off_each_side=0.5),
    _CORNER_60,
    per_frame("rotate_20_filled", _GROUP, _rotate_and_fill(20), degrees=20, corners="cut off"),
    per_frame("low_light", _GROUP, _low_light(0.35, 1.6, 4.0), gain=0.35, gamma=1.6, noise=4),
    per_frame("night", _GROUP, _low_light(0.16, 1.3, 5.0), gain=0.16, gamma=1.3, noise=5),
    per_frame("low_res_72", _GROUP, limit_short_side(72), crf=45, short_side=72),
    _together("mirror_crop_caption", (_MIRROR, _CORNER_25, _OVERLAYS["caption_band"])),
    _together("negative_mirror_bars", (_PHOTOMETRIC["negative"], _MIRROR, _BARS)),
    _together("insert_2_mirror_low_res", (_MIRROR, insert("insert_2", 2.0), _FEW_PIXELS)),
    _together("mashup_1_faster", (speed("speed_1.25", 1.25), mashup("mashup_1", 1.0))),
    _together("excerpt_3_corner", (_EXCERPT, _CORNER_25, _MIRROR)),
    _together("excerpt_3_negative", (_EXCERPT, _PHOTOMETRIC["negative"])),
    _together("excerpt_3_inset", (_EXCERPT, _INSET)),
    _together("intro_then_negative", (_PHOTOMETRIC["negative"], _INTRO)),
    _together("intro_then_corner", (_CORNER_60, _INTRO)),
)
