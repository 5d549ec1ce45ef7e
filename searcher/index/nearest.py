"""Tables of the nearest rows, or nodes, of some queries: scores and numbers, best first.

If a query has fewer than others, its scores end with -inf and its numbers with MISSING.
"""

from __future__ import annotations

import numpy as np

from common.types import Float32Array, Int64Array
from searcher.index.state import MISSING, Nearest


def nothing(count: int) -> Nearest:
    """A table without columns, for this many queries."""
    return np.zeros((count, 0), dtype=np.float32), np.zeros((count, 0), dtype=np.int64)


def wide(scores: Float32Array, rows: Int64Array, k: int) -> Nearest:
    """Pad both arrays to at least k columns, with -inf and MISSING."""
    if scores.shape[1] >= k:
        return scores, rows
    # `np.pad` would take longer than the search of a small bank.
    wide_scores = np.full((len(scores), k), -np.inf, dtype=np.float32)
    wide_rows = np.full((len(rows), k), MISSING, dtype=np.int64)
    wide_scores[:, : scores.shape[1]], wide_rows[:, : rows.shape[1]] = scores, rows
    return wide_scores, wide_rows


def best(parts: list[Nearest], k: int) -> Nearest:
    """The k best of all parts, best first."""
    scores = np.concatenate([scores for scores, _ in parts], axis=1)
    rows = np.concatenate([rows for _, rows in parts], axis=1)
    scores, rows = wide(scores, rows, k)
    # A NaN query has no neighbours.
    missing = ~np.isfinite(scores)
    scores[missing], rows[missing] = -np.inf, MISSING
    return in_order(scores, rows, np.argsort(-scores, axis=1, kind="stable")[:, :k])


def in_order(scores: Float32Array, rows: Int64Array, order: Int64Array) -> Nearest:
    """The columns `order`, int64 (n, m), of each line."""
    # `np.take_along_axis` takes four times as long.
    lines = np.arange(len(order))[:, None]
    return scores[lines, order], rows[lines, order]
