"""From tracks to 15 numbers that describe motion, independent of resolution, frame rate and flips.

    0-2    speed: mean, standard deviation, max                    diagonals / s
    3-5    acceleration (length of the velocity's change): the same    diagonals / s^2
    6      entropy of turning angles, 0 (one angle) to 1 (all alike)
    7-9    spread, the mean pairwise distance at a moment: mean, std, max    diagonals
    10     overlapping-pair rate: share of pairs at a moment whose discs touch
    11-12  close-pair rate at a moment: mean, std
    13     share of moments with a close pair
    14     mean share of objects in the largest cluster of close ones

All except 6 and 10-14 are squashed by asinh, and all are standardised with the mean and deviation in
action.json, which scripts/fit_action.py measures on synthetic videos; ACTION_VERSION names both. Only
distances and absolute angles are used, so flips and rotations change nothing.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from common.types import ACTION_DIMENSION, BoolArray, Float32Array, Float64Array, Tracks

ACTION_VERSION = "action-2"

# Tracks are resampled to this rate, so that derivatives do not depend on the frame rate.
_RATE = 4.0
_TURN_BINS = 8
# Longer gaps between two positions of an object are not interpolated.
_MAX_GAP_SECONDS = 0.75
# Two objects are close if their discs, enlarged by this factor, touch.
_CLOSE_FACTOR = 2.0
_SQUASHED = np.array([1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0], dtype=bool)
_SQUASH_SCALE = np.array([20, 20, 5, 5, 5, 1.25, 1, 5, 20, 5, 1, 1, 1, 1, 1])
CONSTANTS_PATH = Path(__file__).with_name("action.json")


def action_features(tracks: Tracks) -> Float32Array:
    """float32 (15,), standardised; all zero if nothing was tracked, so that stillness is no evidence of a
    match."""
    if not tracks.visible.any():
        return np.zeros(ACTION_DIMENSION, dtype=np.float32)
    return _standardise(raw_features(tracks))


def min_max(action: Float32Array) -> Float32Array:
    """Standardised features scaled to 0..1 like the paper's min-max features: +-3 deviations."""
    return np.clip((action + 3.0) / 6.0, 0.0, 1.0).astype(np.float32)


def raw_features(tracks: Tracks) -> Float64Array:
    """float64 (15,) in the units listed above, before squashing."""
    places, radii, visible = _resample(tracks)
    features = np.zeros(ACTION_DIMENSION)
    velocity = np.diff(places, axis=0) * _RATE
    moving = visible[1:] & visible[:-1]
    features[0:3] = _summary(np.linalg.norm(velocity, axis=-1)[moving])
    change = np.diff(velocity, axis=0) * _RATE
    turning = moving[1:] & moving[:-1]
    features[3:6] = _summary(np.linalg.norm(change, axis=-1)[turning])
    features[6] = _turn_entropy(velocity[:-1][turning], velocity[1:][turning])
    features[7:15] = _together(places, radii, visible)
    return features


def squash(raw: Float64Array) -> Float64Array:
    """float64 (15,) with the long tails of lengths and speeds compressed."""
    return np.where(_SQUASHED, np.arcsinh(raw * _SQUASH_SCALE), raw)


def _standardise(raw: Float64Array) -> Float32Array:
    mean, deviation = _constants()
    return np.clip((squash(raw) - mean) / deviation, -3.0, 3.0).astype(np.float32)


@cache
def _constants() -> tuple[Float64Array, Float64Array]:
    constants = json.loads(CONSTANTS_PATH.read_text(encoding="utf-8"))
    return np.array(constants["mean"]), np.array(constants["deviation"])


def _resample(tracks: Tracks) -> tuple[Float64Array, Float64Array, BoolArray]:
    """Places (M, N, 2), radii (M, N) and seen (M, N) at _RATE moments a second."""
    pts = tracks.pts_seconds
    moments = np.arange(pts[0], pts[-1] + 1e-6, 1 / _RATE)
    count = tracks.visible.shape[1]
    places = np.zeros((len(moments), count, 2))
    radii = np.zeros((len(moments), count))
    visible = np.zeros((len(moments), count), dtype=bool)
    for number in range(count):
        is_visible = tracks.visible[:, number]
        if not is_visible.any():
            continue
        times = pts[is_visible]
        for axis in (0, 1):
            places[:, number, axis] = np.interp(
                moments, times, tracks.centroids[is_visible, number, axis]
            )
        radii[:, number] = np.interp(
            moments, times, np.sqrt(tracks.areas[is_visible, number] / np.pi)
        )
        visible[:, number] = _known_at(moments, times)
    return places, radii, visible


def _known_at(moments: Float64Array, times: Float64Array) -> BoolArray:
    """bool (M,): where a thing seen at the times `at` was, by and large: not before the first nor after
    the last, and not in a gap in which it may have been anywhere."""
    next_one = np.clip(np.searchsorted(times, moments - 1e-6), 1, max(len(times) - 1, 1))
    earlier, later = times[next_one - 1], times[np.minimum(next_one, len(times) - 1)]
    near = np.minimum(np.abs(moments - earlier), np.abs(moments - later)) < 1e-6
    within = (moments >= times[0] - 1e-6) & (moments <= times[-1] + 1e-6)
    return within & (near | (later - earlier <= _MAX_GAP_SECONDS))


def _summary(values: Float64Array) -> tuple[float, float, float]:
    if not len(values):
        return 0.0, 0.0, 0.0
    return float(values.mean()), float(values.std()), float(np.max(values))


def _turn_entropy(before: Float64Array, after: Float64Array) -> float:
    """Entropy of the absolute angle between successive velocities, over log of the bins."""
    lengths = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
    real = lengths > 1e-8
    if not real.any():
        return 0.0
    cosine = (before * after).sum(axis=-1)[real] / lengths[real]
    angles = np.arccos(np.clip(cosine, -1, 1))
    # Each angle is shared by its two nearest bins, so that rounding errors have no effect.
    position = angles / np.pi * (_TURN_BINS - 1)
    low = np.minimum(position.astype(int), _TURN_BINS - 2)
    histogram = np.zeros(_TURN_BINS)
    np.add.at(histogram, low, 1 - (position - low))
    np.add.at(histogram, low + 1, position - low)
    share = histogram / histogram.sum()
    share = share[share > 0]
    return float(-(share * np.log(share)).sum() / np.log(_TURN_BINS))


def _together(places: Float64Array, radii: Float64Array, visible: BoolArray) -> Float64Array:
    """Features 7 to 14: relations between the objects of one moment."""
    spread: list[float] = []
    overlapping: list[float] = []
    close: list[float] = []
    cluster: list[float] = []
    for now, size, is_visible in zip(places, radii, visible, strict=True):
        count = int(is_visible.sum())
        if count == 0:
            continue
        centres, radius = now[is_visible], size[is_visible]
        distances = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
        reach = radius[:, None] + radius[None]
        near = distances < _CLOSE_FACTOR * reach
        pairs = np.triu_indices(count, 1)
        cluster.append(_largest_cluster(near) / count)
        if count > 1:
            spread.append(float(distances[pairs].mean()))
            overlapping.append(float((distances < reach)[pairs].mean()))
            close.append(float(near[pairs].mean()))
    features = np.zeros(8)
    if spread:
        features[0:3] = _summary(np.array(spread))
        features[3] = np.mean(overlapping)
        features[4:6] = np.mean(close), np.std(close)
        features[6] = np.mean(np.array(close) > 0)
    features[7] = np.mean(cluster) if cluster else 0.0
    return features


def _largest_cluster(near: BoolArray) -> int:
    """Size of the largest connected group; near: bool (N, N), symmetric."""
    reach = near | np.eye(len(near), dtype=bool)
    for _ in range(len(near)):
        grown = (reach @ reach) > 0
        if (grown == reach).all():
            break
        reach = grown
    return int(np.max(reach.sum(axis=1)))
