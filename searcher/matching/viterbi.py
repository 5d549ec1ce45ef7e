"""Which frame of the query follows which frame of the reference: the best path through similarities.

The state at a frame of the query is either a frame of the reference or `outside`; the path of the
highest sum is found by dynamic programming (Viterbi, 1967). Staying outside earns nothing, and every
cut between two stretches has a price, so that noise makes none. A stretch may run forwards at up to
twice the speed, stand still, or run backwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from common.types import Float32Array, Float64Array, Int64Array

# Prices, in the units of what is earned. Entering and leaving a stretch; going on elsewhere in the
# reference; each second by which a step differs from the query's own pace; running backwards, a step.
_EDGE_PRICE, _JUMP_PRICE = 0.2, 0.45
_PACE_PRICE, _BACKWARDS_PRICE = 0.015, 0.02
_MAX_TEMPO = 2.25
_OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames of the query, one after the other, and the frame of the reference that each shows.

    query: int64 (n,), increasing; ref: int64 (n,).
    """

    query: Int64Array
    ref: Int64Array


def follow(
    earned: Float32Array,
    query_pts_seconds: Float64Array,
    ref_pts_seconds: Float64Array,
) -> list[Stretch]:
    """The stretches of the best path, in the query's order; none where no pairs earn enough.

    earned: float32 (Tq, Tr), what each pair of frames at these times earns, below 0 where it is no copy;
    both times increase, the reference's evenly spaced.
    """
    if not earned.size:
        return []
    hop = float(np.median(np.diff(ref_pts_seconds))) if len(ref_pts_seconds) > 1 else 1.0
    states, came_from = _forward(earned.astype(np.float64), query_pts_seconds, hop)
    return _stretches(*_backward(states, came_from))


def _forward(
    earned: Float64Array, pts: Float64Array, hop: float
) -> tuple[tuple[Float64Array, float], Int64Array]:
    """Value of every last state, and (Tq, Tr + 1) from where each was best reached: the index of a frame
    of the reference, with Tr more where the path was cut, or -1 for outside, as the last column is."""
    frames, refs = earned.shape
    came_from: Int64Array = np.full((frames, refs + 1), _OUTSIDE, dtype=np.int64)
    inside, outside = earned[0] - _EDGE_PRICE, 0.0
    for frame in range(1, frames):
        step = pts[frame] - pts[frame - 1]
        best, origin = _best_step(inside, step / hop, step)
        leader = int(np.argmax(inside))
        jump = inside[leader] - _JUMP_PRICE
        origin = np.where(jump > best, leader + refs, origin)
        best = np.maximum(best, jump)
        enter = outside - _EDGE_PRICE
        came_from[frame, :refs] = np.where(enter > best, _OUTSIDE, origin)
        leave = inside[leader] - _EDGE_PRICE
        came_from[frame, refs] = leader if leave > outside else _OUTSIDE
        inside, outside = np.maximum(best, enter) + earned[frame], max(outside, leave)
    return (inside - _EDGE_PRICE, outside), came_from


def _best_step(
    inside: Float64Array, pace: float, step_seconds: float
) -> tuple[Float64Array, Int64Array]:
    """Value and index of the best frame from which each could be reached in one step without a cut.

    pace: frames of the reference in a step of the query.
    """
    reach = max(1, int(np.ceil(pace * _MAX_TEMPO - 1e-6)))
    advance = np.arange(-reach, reach + 1)
    prices = _PACE_PRICE * np.abs(np.abs(advance) - pace) / max(pace, 1e-9) * step_seconds
    prices += _BACKWARDS_PRICE * (advance < 0)
    around = sliding_window_view(np.pad(inside, reach, constant_values=-np.inf), len(inside))
    # Row k of it is the values k - reach places on, and who advances comes from places before.
    values = around[::-1] - prices[:, None]
    chosen = values.argmax(axis=0)
    places = np.arange(len(inside))
    return values[chosen, places], places - advance[chosen]


def _backward(
    states: tuple[Float64Array, float], came_from: Int64Array
) -> tuple[Int64Array, Int64Array]:
    """For each frame of the query its frame of the reference, -1 outside, and whether a cut precedes
    it."""
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


def _stretches(place: Int64Array, cut: Int64Array) -> list[Stretch]:
    begins = cut.astype(bool)
    begins[1:] |= (place[1:] < 0) != (place[:-1] < 0)
    parts = np.split(np.arange(len(place)), np.flatnonzero(begins))
    return [
        Stretch(part, place[part]) for part in parts if len(part) and place[part[0]] != _OUTSIDE
    ]
