"""The delta: vectors that are not in the graph yet, in blocks that are searched exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from common.types import Float32Array, Int64Array
from searcher.index.graph import PADDED_DIMENSION

# 17 MB per block. Memory pages that were never written take no memory.
BLOCK_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Delta:
    """Vectors of the rows from `first_row` on, float32 (BLOCK_ROWS, 528) per block.

    Writes go only beyond the total of every existing state, so states share blocks; neither growth nor a
    merge copies a vector.
    """

    first_row: int = 0
    blocks: tuple[Float32Array, ...] = ()

    def grown(self, stop: int) -> Delta:
        """A delta with capacity for rows up to `stop`."""
        lacking = -(-(stop - self.first_row) // BLOCK_ROWS) - len(self.blocks)
        more = [np.zeros((BLOCK_ROWS, PADDED_DIMENSION), np.float32) for _ in range(lacking)]
        return Delta(self.first_row, (*self.blocks, *more)) if more else self

    def after(self, row: int) -> Delta:
        """A delta without the blocks before a row."""
        gone = (row - self.first_row) // BLOCK_ROWS
        return Delta(self.first_row + gone * BLOCK_ROWS, self.blocks[gone:]) if gone else self

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, Float32Array]]:
        """The vectors of rows [start, stop), float32 (m, 528), block by block, with the first row of each
        part."""
        while start < stop:
            block, at = divmod(start - self.first_row, BLOCK_ROWS)
            size = min(BLOCK_ROWS - at, stop - start)
            yield start, self.blocks[block][at : at + size]
            start += size

    def write(self, start: int, vectors: Float32Array) -> None:
        """Set the rows from `start` on. vectors: float32 (m, w) with w <= 528."""
        for row, piece in self.pieces(start, start + len(vectors)):
            piece[:, : vectors.shape[1]] = vectors[row - start : row - start + len(piece)]

    def take(self, rows: Int64Array) -> Float32Array:
        """The vectors of rows, float32 (len(rows), 528)."""
        found = np.empty((len(rows), PADDED_DIMENSION), dtype=np.float32)
        block, at = np.divmod(rows - self.first_row, BLOCK_ROWS)
        for number in np.unique(block).tolist():
            here = block == number
            found[here] = self.blocks[number][at[here]]
        return found
