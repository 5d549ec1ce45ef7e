"""Viterbi: the best path of query frames through reference frames.

The state at a query frame is a reference frame or `outside`. Dynamic programming (Viterbi, 1967)
finds the path with the highest sum of rewards. Staying outside has no reward, and every cut has a
penalty, so noise creates no cuts. A matched part may run forwards at up to twice the speed, stand
still, or run backwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from common.types import Float32Array, Float64Array, Int64Array

# Penalties in units of the reward: to enter or leave a matched part; for a jump in the reference; per
# second that a step differs from the query's pace; per step backwards.
_EDGE_PENALTY, _JUMP_PENALTY = 0.2, 0.45
_PACE_PENALTY, _BACKWARDS_PENALTY = 0.015, 0.02
_MAX_TEMPO = 2.25
_OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class MatchedFrames:
    """Consecutive query frames and the reference frame that each shows.

    query: int64 (n,), increasing; ref: int64 (n,).
    """

    query: Int64Array
    ref: Int64Array


def best_path(
    reward: Float32Array, query_pts_seconds: Float64Array, ref_pts_seconds: Float64Array
) -> list[MatchedFrames]:
    """The matched parts of the best path, in query order; empty if no pairs have enough reward.

    reward: float32 (Tq, Tr), the reward of each pair of frames at these times, negative for non-copies.
    Both time arrays increase; the reference times are evenly spaced.
    """
    if not reward.size:
        return []
    hop = float(np.median(np.diff(ref_pts_seconds))) if len(ref_pts_seconds) > 1 else 1.0
    states, came_from = _forward(reward.astype(np.float64), query_pts_seconds, hop)
    return _split_path(*_backward(states, came_from))


def _forward(
    reward: Float64Array, pts: Float64Array, hop: float
) -> tuple[tuple[Float64Array, float], Int64Array]:
    """The value of every last state, and back pointers, int64 (Tq, Tr + 1): the index of a reference
    frame, plus Tr after a cut, or -1 for outside. The last column is the outside state."""
    frames, refs = reward.shape
    came_from: Int64Array = np.full((frames, refs + 1), _OUTSIDE, dtype=np.int64)
    inside, outside = reward[0] - _EDGE_PENALTY, 0.0
    for frame in range(1, frames):
        step = pts[frame] - pts[frame - 1]
        best, origin = _best_step(inside, step / hop, step)
        leader = int(np.argmax(inside))
        jump = inside[leader] - _JUMP_PENALTY
        origin = np.where(jump > best, leader + refs, origin)
        best = np.maximum(best, jump)
        enter = outside - _EDGE_PENALTY
        came_from[frame, :refs] = np.where(enter > best, _OUTSIDE, origin)
        leave = inside[leader] - _EDGE_PENALTY
        came_from[frame, refs] = leader if leave > outside else _OUTSIDE
        inside, outside = np.maximum(best, enter) + reward[frame], max(outside, leave)
    return (inside - _EDGE_PENALTY, outside), came_from


def _best_step(
    inside: Float64Array, pace: float, step_seconds: float
) -> tuple[Float64Array, Int64Array]:
    """Value and index of the best predecessor of each frame in one step without a cut.

    pace: reference frames per query step.
    """
    advance, penalties = _penalties(pace, step_seconds)
    count, reach = len(inside), len(advance) // 2
    padded = np.full(count + 2 * reach, -np.inf)
    padded[reach : reach + count] = inside
    # A path that advances comes from an earlier place. One row at a time is several times faster than
    # numpy's pad and sliding_window_view.
    values = np.empty((len(advance), count))
    for row, first in enumerate(range(2 * reach, -1, -1)):
        np.subtract(padded[first : first + count], penalties[row], out=values[row])
    chosen = values.argmax(axis=0)
    places = np.arange(count)
    return values[chosen, places], places - advance[chosen]


@lru_cache(maxsize=64)
def _penalties(pace: float, step_seconds: float) -> tuple[Int64Array, Float64Array]:
    """The advances that one step without a cut may make, in reference frames, and their penalties."""
    reach = max(1, int(np.ceil(pace * _MAX_TEMPO - 1e-6)))
    advance: Int64Array = np.arange(-reach, reach + 1)
    penalties = _PACE_PENALTY * np.abs(np.abs(advance) - pace) / max(pace, 1e-9) * step_seconds
    return advance, penalties + _BACKWARDS_PENALTY * (advance < 0)


def _backward(
    states: tuple[Float64Array, float], came_from: Int64Array
) -> tuple[Int64Array, Int64Array]:
    """For each query frame: its reference frame (-1 for outside), and whether a cut precedes it."""
    inside, outside = states
    frames, refs = came_from.shape[0], came_from.shape[1] - 1
    place = np.full(frames, _OUTSIDE, dtype=np.int64)
    cut = np.zeros(frames, dtype=np.int64)
    state = int(np.argmax(inside)) if float(np.max(inside)) > outside else _OUTSIDE
    for frame in range(frames - 1, -1, -1):
        place[frame] = state
        origin = int(came_from[frame, state if state >= 0 else refs])
        if frame and state >= 0:
            cut[frame] = origin >= refs
        state = origin % refs if origin >= 0 else _OUTSIDE
    return place, cut


def _split_path(place: Int64Array, cut: Int64Array) -> list[MatchedFrames]:
    begins = cut.astype(bool)
    begins[1:] |= (place[1:] < 0) != (place[:-1] < 0)
    parts = np.split(np.arange(len(place)), np.flatnonzero(begins))
    return [
        MatchedFrames(part, place[part])
        for part in parts
        if len(part) and place[part[0]] != _OUTSIDE
    ]
