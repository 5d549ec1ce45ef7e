"""Compares a few pairs of frames of two videos: whether one is an edit of the other, and which."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np

from common.runtime_tuning import usable_cores
from common.types import BoolArray, Float32Array, Float64Array, UInt8Array, check_array
from searcher.transform.keypoints import VARIANTS, Keypoints, Variant, shared_points
from searcher.transform.regions import (
    AGREES,
    WHOLE,
    Region,
    agreeing_region,
    agreement,
    bounds,
    corners_of,
    is_whole,
    projected,
)
from searcher.transform.registration import Registration, register

KeypointsOf: TypeAlias = Callable[[UInt8Array], Keypoints]
"""The keypoints of a picture, uint8 (H, W, 3)."""

LEAST_CONFIDENCE = 0.99
"""Below it nothing is said about the picture."""
# Mean difference between the colour channels, in levels: grey pictures have no more than their encoder
# adds, coloured ones have more.
_GREY_LEVELS, _COLOUR_LEVELS = 3.0, 8.0
# Two frames are alike if their small pictures differ by no more levels than this.
_GLANCE, _STILL_LEVELS = (48, 48), 1.0
# A caption that two videos share may fit a map in one moment, but has fewer points than this.
_ENOUGH_ALONE = 24
# Rotations are whole degrees; a quarter turn is exact up to this.
_QUARTER_DEGREES = 2.0


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame of the query, and frames of the reference around the same moment, best guess first.

    query: uint8 (H, W, 3), RGB; references: the same, at least one.
    """

    query: UInt8Array
    references: tuple[UInt8Array, ...]

    def __post_init__(self) -> None:
        if not self.references:
            raise ValueError("references: expected at least one picture, got none")
        for name, picture in (
            ("query", self.query),
            *(("reference", one) for one in self.references),
        ):
            check_array(name, picture, np.uint8, ("H", "W", 3))


@dataclass(frozen=True, slots=True)
class PictureTransform:
    """What was done to the reference's picture to get the query's.

    The picture is mirrored left to right first, then turned clockwise by `rotation_degrees`, -179 to 180.
    query_region: the part of the query's picture that shows the reference; reference_region: the part of
    the reference's picture that is shown. kept_region: the part that the edit kept, also under what lies
    over it, such as a banner. stretch: how many times wider it became, against its height. inverted: the
    colours are negative. grey: the colours are gone. confidence: the probability that the map of the
    pictures is true.
    """

    mirrored: bool
    rotation_degrees: int
    query_region: Region
    reference_region: Region
    kept_region: Region
    stretch: float
    inverted: bool
    grey: bool
    confidence: float


@dataclass(frozen=True, slots=True)
class _Pair:
    moment: int
    reference: int
    variant: Variant
    points: tuple[Float32Array, Float32Array]
    registration: Registration | None

    @property
    def fitting(self) -> int:
        return 0 if self.registration is None else self.registration.fitting


@dataclass(frozen=True, slots=True)
class PictureComparison:
    """What comparing a few pictures of two videos gives.

    fitting: how many of the shared `points` fit one map between the pictures. agreement: share of the
    cells of the query's picture, inside the map and not empty, in which both show the same, 0 to 1.
    transform: None where no map is certain.
    """

    fitting: int = 0
    points: int = 0
    agreement: float = 0.0
    transform: PictureTransform | None = None


NOTHING_SHARED = PictureComparison()


def compare(
    moments: Sequence[Moment], keypoints_of: KeypointsOf = Keypoints.of_colour
) -> PictureComparison:
    """Find the one map between the pictures that most points fit.

    keypoints_of: called from several threads, one per core.

    The query's frames have one size, and so have the reference's. Raises ValueError without moments.
    """
    if not moments:
        raise ValueError("moments: expected at least one, got none")
    queries = [_grey(one.query) for one in moments]
    references = [[_grey(one) for one in moment.references] for moment in moments]
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="compare") as threads:
        seen = threads.map(keypoints_of, [one.query for one in moments])
        firsts = threads.map(keypoints_of, [one.references[0] for one in moments])
        first_pairs = _best_variant(list(seen), list(firsts))
        if first_pairs is None:
            return NOTHING_SHARED
        best_frame = partial(_best_frame, keypoints_of)
        pairs = list(threads.map(best_frame, first_pairs, moments, references))
    found = _pooled(pairs)
    if found is None:
        return NOTHING_SHARED
    comparison = PictureComparison(found.fitting, found.points)
    if found.confidence < LEAST_CONFIDENCE:
        return comparison
    correlation, shows = _agreement_of_all(found, queries, references, pairs)
    agreement = float((correlation[shows] > AGREES).mean()) if shows.any() else 0.0
    transform = _described(found, moments, queries, references, pairs, correlation, shows)
    return replace(comparison, agreement=agreement, transform=transform)


def _best_variant(seen: Sequence[Keypoints], known: Sequence[Keypoints]) -> list[_Pair] | None:
    """The pairs of the variant whose maps most points fit, over all moments; None if none fits any."""
    tried = [
        [
            _pair(number, 0, query, one, variant)
            for number, (query, one) in enumerate(zip(seen, known, strict=True))
        ]
        for variant in VARIANTS
    ]
    best = max(tried, key=_fitting)
    return best if _fitting(best) else None


def _fitting(pairs: Sequence[_Pair]) -> int:
    return sum(one.fitting for one in pairs)


def _pair(
    moment: int, reference: int, query: Keypoints, known: Keypoints, variant: Variant
) -> _Pair:
    points = shared_points(query, known, variant)
    return _Pair(moment, reference, variant, points, register(variant, *points))


def _best_frame(
    keypoints_of: KeypointsOf, first: _Pair, moment: Moment, greys: Sequence[UInt8Array]
) -> _Pair:
    """The pair of the reference's frame whose map most points fit: while a camera pans, other frames fit
    too, but shifted, and with fewer points. Frames that are like the first are not looked at."""
    small = [cv2.resize(one, _GLANCE, interpolation=cv2.INTER_AREA) for one in greys]
    query = keypoints_of(moment.query)
    others = [
        _pair(first.moment, place, query, keypoints_of(one), first.variant)
        for place, one in enumerate(moment.references)
        if cv2.absdiff(small[place], small[0]).mean() > _STILL_LEVELS
    ]
    return max((first, *others), key=lambda one: one.fitting)


def _pooled(pairs: Sequence[_Pair]) -> Registration | None:
    """The most probable of these maps: one for all moments, or that of one moment which many points fit.
    A crop may move, and a moment may be compared with the wrong pictures."""
    pooled = register(pairs[0].variant, *_points(pairs))
    alone = (one.registration for one in pairs if one.fitting >= _ENOUGH_ALONE)
    maps = [one for one in (pooled, *alone) if one is not None]
    return max(maps, key=lambda one: one.log_odds, default=None)


def _points(pairs: Sequence[_Pair]) -> tuple[Float32Array, Float32Array]:
    """The shared points of all pairs: of the references and of the queries, float32 (M, 2) each."""
    return (
        np.concatenate([one.points[0] for one in pairs]),
        np.concatenate([one.points[1] for one in pairs]),
    )


def _described(
    found: Registration,
    moments: Sequence[Moment],
    queries: Sequence[UInt8Array],
    references: Sequence[Sequence[UInt8Array]],
    pairs: Sequence[_Pair],
    correlation: Float32Array,
    shows: BoolArray,
) -> PictureTransform | None:
    height, width = queries[0].shape
    ref_height, ref_width = references[0][0].shape
    expected = bounds(projected(found.matrix, ref_width, ref_height), width, height)
    if expected is None:
        return None
    shown = agreeing_region(correlation, shows, expected)
    back = cv2.invertAffineTransform(found.matrix)

    def part_in(region: Region) -> Region | None:
        """The part of the reference that the map puts into a region of the query."""
        corners = corners_of(region, width, height)
        return bounds(corners @ back[:, :2].T + back[:, 2], ref_width, ref_height)

    # Where the reference covers the whole picture, what is not shown lies under something else.
    part, kept = part_in(shown), part_in(WHOLE if is_whole(expected) else shown)
    if part is None or kept is None:
        return None
    rotation, stretch = turn_of(found.matrix, mirrored=found.variant.mirrored)
    chosen = [moments[one.moment].references[one.reference] for one in pairs]
    return PictureTransform(
        mirrored=found.variant.mirrored,
        rotation_degrees=rotation,
        query_region=shown,
        reference_region=part,
        kept_region=kept,
        stretch=stretch,
        inverted=found.variant.inverted,
        grey=_lost_colour([_inside(one.query, shown) for one in moments], chosen),
        confidence=found.confidence,
    )


def _agreement_of_all(
    found: Registration,
    queries: Sequence[UInt8Array],
    references: Sequence[Sequence[UInt8Array]],
    pairs: Sequence[_Pair],
) -> tuple[Float32Array, BoolArray]:
    """As `agreement`; of each cell the best pair, as things move between two frames."""
    sign = -1.0 if found.variant.inverted else 1.0
    matrix = found.projective(*_points(pairs))
    each = [
        agreement(queries[one.moment], references[one.moment][one.reference], matrix)
        for one in pairs
    ]
    correlation = np.array([np.where(shows, sign * value, -1.0) for value, shows in each])
    return correlation.max(axis=0), np.any([shows for _, shows in each], axis=0)


def turn_of(matrix: Float64Array, *, mirrored: bool) -> tuple[int, float]:
    """Degrees clockwise, and the stretch in the reference's own axes: the polar decomposition of the
    map, after its mirror."""
    linear = matrix[:, :2] @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    u, singular, v = np.linalg.svd(linear)
    turn, stretch = u @ v, v.T @ np.diag(singular) @ v
    degrees = math.degrees(math.atan2(turn[1, 0], turn[0, 0]))
    quarter = 90 * round(degrees / 90)
    whole = quarter if abs(degrees - quarter) <= _QUARTER_DEGREES else round(degrees)
    return (180 if whole <= -180 else whole), round(float(stretch[0, 0] / stretch[1, 1]), 4)


def _lost_colour(queries: Sequence[UInt8Array], references: Sequence[UInt8Array]) -> bool:
    """Whether the query is grey and the reference is not."""
    return (
        float(np.median([_colour(one) for one in queries])) < _GREY_LEVELS
        and float(np.median([_colour(one) for one in references])) > _COLOUR_LEVELS
    )


def _colour(picture: UInt8Array) -> float:
    """Mean difference between the largest and the smallest channel of a pixel, in levels."""
    return float((picture.max(axis=2) - picture.min(axis=2)).mean())


def _inside(picture: UInt8Array, region: Region) -> UInt8Array:
    """The part of a picture in a region, at least one pixel."""
    height, width = picture.shape[:2]
    left, top = min(width - 1, int(region[0] * width)), min(height - 1, int(region[1] * height))
    right, bottom = max(left + 1, round(region[2] * width)), max(top + 1, round(region[3] * height))
    return picture[top:bottom, left:right]


def _grey(picture: UInt8Array) -> UInt8Array:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
