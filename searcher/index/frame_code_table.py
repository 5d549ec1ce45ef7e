"""Frame codes of each row of the shard, in one growing buffer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.types import FRAME_CODE_SIZE, BoolArray, Int8Array, Int64Array
from searcher.index.array_growth import grown


class FrameCodeTable:
    """Shared by all states with the same row numbers, like `RowTable`. Existing rows never change,
    so readers may use the rows below their state's total while one writer appends."""

    def __init__(self, codes: Int8Array | None = None, counts: Int64Array | None = None) -> None:
        """codes: int8 (m, 64), row after row; counts: int64 (n,), codes per row. Raises ValueError
        if they do not add up."""
        self._codes = np.zeros((0, FRAME_CODE_SIZE), dtype=np.int8) if codes is None else codes
        counts = np.zeros(0, dtype=np.int64) if counts is None else counts
        # Start of each row's codes, and the end of the last one.
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        if self._starts[-1] != len(self._codes):
            raise ValueError(f"frames: expected {self._starts[-1]} codes, got {len(self._codes)}")

    def put(self, start: int, frames: Sequence[Int8Array]) -> None:
        """Set the codes of new rows from `start` on; no state may hold them yet."""
        first = int(self._starts[start])
        ends = first + np.cumsum([len(one) for one in frames])
        self._starts = grown(self._starts, start + 1, start + 1 + len(frames))
        self._starts[start + 1 : start + 1 + len(frames)] = ends
        if len(frames) and ends[-1] > first:
            self._codes = grown(self._codes, first, int(ends[-1]))
            self._codes[first : ends[-1]] = np.concatenate(frames)

    def of(self, rows: Int64Array) -> list[Int8Array]:
        """The codes of each row, int8 (T, 64)."""
        starts, codes = self._starts, self._codes
        return [codes[starts[row] : starts[row + 1]] for row in rows.tolist()]

    def kept(self, rows: Int64Array) -> FrameCodeTable:
        """A table of only these rows, renumbered in the order given."""
        first, counts = self._starts[rows], self._starts[rows + 1] - self._starts[rows]
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        codes = self._codes[np.repeat(first - ends + counts, counts) + np.arange(total)]
        return FrameCodeTable(codes, counts)

    def part(self, start: int, stop: int, alive: BoolArray) -> tuple[Int8Array, Int64Array]:
        """The constructor's arguments for rows [start, stop); deleted rows have no codes. alive: bool
        (stop - start,)."""
        counts = np.diff(self._starts[start : stop + 1])
        codes = self._codes[self._starts[start] : self._starts[stop]]
        if not alive.all():
            codes, counts = codes[np.repeat(alive, counts)], np.where(alive, counts, 0)
        return codes, counts

    def bytes_of(self, total: int) -> int:
        """Bytes of the first `total` rows."""
        return int(self._starts[total]) * FRAME_CODE_SIZE + 8 * total
