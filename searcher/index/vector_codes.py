"""Vectors as codes of one byte per number.

Codes are a quarter as long as vectors. With them a search finds out quickly that none of some vectors can
be among the nearest, and compares only the others exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from common.types import Float32Array, Int64Array
from searcher.index.faiss_views import view_codes

# FAISS subtracts it from each byte.
_ZERO = 128
_LARGEST = 127
# The largest number of the first vectors, times this, has the largest code: later ones may be larger.
_HEADROOM = 1.5
# Vectors that are written at once, so that they stay in the processor's cache.
_ROWS = 128
# Numbers that NumPy multiplies while it keeps Python's interpreter lock.
_AT_ONCE = 264
# Scores that are computed in another order may differ by this much.
_ROUNDING = 1e-5


class VectorCodes:
    """Codes of `rows` vectors of `dimension` numbers. Rows are written once, and read afterwards."""

    def __init__(self, rows: int, dimension: int) -> None:
        self._codes = np.zeros((rows, dimension), np.uint8)
        # The length of what the code of each row leaves out.
        self._errors = np.zeros(rows, np.float32)
        # The first vectors set it. Numbers that are too large for it make the error larger.
        self._step = 0.0

    def write(self, start: int, vectors: Float32Array) -> None:
        """Set the rows from `start` on. vectors: float32 (m, dimension)."""
        if not self._step:
            self._step = _HEADROOM * float(np.abs(vectors).max(initial=0.0)) / _LARGEST or 1.0
        for first in range(0, len(vectors), _ROWS):
            some = vectors[first : first + _ROWS]
            numbers = np.rint(some / np.float32(self._step)).clip(-_LARGEST, _LARGEST)
            here = slice(start + first, start + first + len(some))
            self._codes[here] = numbers + _ZERO
            left = some - numbers * np.float32(self._step)
            self._errors[here] = np.sqrt(np.einsum("ij,ij->i", left, left))

    def compared(self, start: int, stop: int) -> ComparedCodes:
        """The codes of rows [start, stop), to be compared with queries."""
        codes = self._codes[start:stop]
        index = faiss.IndexScalarQuantizer(
            codes.shape[1],
            faiss.ScalarQuantizer.QT_8bit_direct_signed,
            faiss.METRIC_INNER_PRODUCT,
        )
        view_codes(index, codes)
        error = float(self._errors[start:stop].max(initial=0.0))
        return ComparedCodes(index, np.float32(self._step), error)


@dataclass(frozen=True, slots=True)
class ComparedCodes:
    """index: the codes, as an index of FAISS. step: a vector is about its code times this. error: the
    length of the largest difference between the two."""

    index: Any
    step: np.float32
    error: float

    def may_reach(self, queries: Float32Array, least: Float32Array) -> bool:
        """Whether a vector's score may reach `least`, float32 (n,), of one of some queries, float32
        (n, dimension). While rows wait, each search asks this, and the usual answer is no."""
        scores, _ = self._searched(queries, 1)
        step = float(self.step)
        return any(
            score * step + self.error * length + _ROUNDING >= bar
            for score, length, bar in zip(
                scores[:, 0].tolist(), _lengths(queries), least.tolist(), strict=True
            )
        )

    def highest(self, queries: Float32Array, count: int) -> tuple[npt.NDArray[Any], Int64Array]:
        """Upper bounds of the scores, float (n, m), and numbers, int64 (n, m), of the vectors with the
        highest bounds, highest first, where m is `count` or the number of vectors if that is less.

        queries: float32 (n, dimension). A bound is the score of the code plus |query| |error|
        (Cauchy-Schwarz).
        """
        scores, numbers = self._searched(queries, min(count, int(self.index.ntotal)))
        added = self.error * np.array(_lengths(queries)) + _ROUNDING
        return scores * self.step + added[:, None], numbers

    def _searched(self, queries: Float32Array, count: int) -> tuple[Float32Array, Int64Array]:
        """The scores of codes, before they are multiplied by the step, and their numbers, best first."""
        scores = np.empty((len(queries), count), dtype=np.float32)
        numbers = np.empty((len(queries), count), dtype=np.int64)
        queries = np.ascontiguousarray(queries)
        self.index.search_c(
            len(queries),
            faiss.swig_ptr(queries),
            count,
            faiss.swig_ptr(scores),
            faiss.swig_ptr(numbers),
        )
        return scores, numbers


def _lengths(vectors: Float32Array) -> list[float]:
    """One of each."""
    if len(vectors) > 1:
        squares: list[float] = np.einsum("ij,ij->i", vectors, vectors).tolist()
        return list(map(math.sqrt, squares))
    # For more than 500 numbers NumPy would let go of the interpreter lock.
    (vector,) = vectors
    parts = [vector[at : at + _AT_ONCE] for at in range(0, len(vector), _AT_ONCE)]
    return [math.sqrt(sum([float(part @ part) for part in parts]))]
