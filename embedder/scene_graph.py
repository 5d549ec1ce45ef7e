"""From tracks to a scene graph of 8 numbers: spatial and temporal relations of objects."""

from __future__ import annotations

import numpy as np

from common.types import GRAPH_DIMENSION, Float32Array, Tracks


def scene_graph(tracks: Tracks) -> Float32Array:
    """float32 (8,): shares of left, right, above, below, then of before, after, overlap, during.

    Each pair of tracks is read from the smaller to the larger object (by mean area). Every moment with
    both objects visible counts for the side of the smaller one, along the axis of the larger distance;
    their lifetimes count once. `during`: the smaller one exists only within the time of the larger one.
    Each half sums to 1, or is 0 without such pairs.
    """
    graph = np.zeros(GRAPH_DIMENSION, dtype=np.float32)
    moments = tracks.visible.sum(axis=0)
    alive = np.flatnonzero(moments)
    area = np.where(tracks.visible, tracks.areas, 0).sum(axis=0) / np.maximum(moments, 1)
    for first, second in ((i, j) for i in alive for j in alive if i < j):
        small, large = sorted((int(first), int(second)), key=lambda number: (area[number], number))
        _count_places(graph, tracks, small, large)
        graph[4 + _lifetimes(tracks, small, large)] += 1
    for half in (graph[:4], graph[4:]):
        half /= max(float(half.sum()), 1.0)
    return graph


def _count_places(graph: Float32Array, tracks: Tracks, small: int, large: int) -> None:
    both = tracks.visible[:, small] & tracks.visible[:, large]
    offsets = (tracks.centroids[:, small] - tracks.centroids[:, large])[both]
    beside = np.abs(offsets[:, 0]) >= np.abs(offsets[:, 1])
    graph[0] += np.count_nonzero(beside & (offsets[:, 0] < 0))
    graph[1] += np.count_nonzero(beside & (offsets[:, 0] > 0))
    graph[2] += np.count_nonzero(~beside & (offsets[:, 1] < 0))
    graph[3] += np.count_nonzero(~beside & (offsets[:, 1] > 0))


def _lifetimes(tracks: Tracks, small: int, large: int) -> int:
    """0 before, 1 after, 2 overlap, 3 during."""
    start, end = np.flatnonzero(tracks.visible[:, small])[[0, -1]]
    other_start, other_end = np.flatnonzero(tracks.visible[:, large])[[0, -1]]
    if end < other_start:
        return 0
    if start > other_end:
        return 1
    return 3 if other_start <= start and end <= other_end else 2
