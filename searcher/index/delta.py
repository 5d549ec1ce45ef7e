"""The delta: vectors that are not in the graph yet, in blocks, with their codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from common.types import Float32Array, Int64Array
from searcher.index.graph import PADDED_DIMENSION
from searcher.index.vector_codes import ComparedCodes, VectorCodes

# 21 MB per block. Memory pages that were never written take no memory.
BLOCK_ROWS = 8192
# Of a vector and its code.
ROW_BYTES = PADDED_DIMENSION * (4 + 1)


class Block:
    """Some rows of a delta. vectors: float32 (BLOCK_ROWS, 528)."""

    def __init__(self) -> None:
        self.vectors: Float32Array = np.zeros((BLOCK_ROWS, PADDED_DIMENSION), np.float32)
        self.codes = VectorCodes(BLOCK_ROWS, PADDED_DIMENSION)


@dataclass(frozen=True, slots=True)
class Delta:
    """Vectors of the rows from `first_row` on.

    Writes go only beyond the total of every existing state, so states share blocks; neither growth nor a
    merge copies a vector.
    """

    first_row: int = 0
    blocks: tuple[Block, ...] = ()

    def grown(self, stop: int) -> Delta:
        """A delta with capacity for rows up to `stop`."""
        lacking = -(-(stop - self.first_row) // BLOCK_ROWS) - len(self.blocks)
        more = [Block() for _ in range(lacking)]
        return Delta(self.first_row, (*self.blocks, *more)) if more else self

    def after(self, row: int) -> Delta:
        """A delta without the blocks before a row."""
        gone = (row - self.first_row) // BLOCK_ROWS
        return Delta(self.first_row + gone * BLOCK_ROWS, self.blocks[gone:]) if gone else self

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, Float32Array]]:
        """The vectors of rows [start, stop), float32 (m, 528), block by block, with the first row of each
        part."""
        for first, block, at, size in self._parts(start, stop):
            yield first, block.vectors[at : at + size]

    def compared(self, start: int, stop: int) -> Iterator[ComparedCodes]:
        """The codes of rows [start, stop), in the parts of `pieces`."""
        for _, block, at, size in self._parts(start, stop):
            yield block.codes.compared(at, at + size)

    def write(self, start: int, vectors: Float32Array) -> None:
        """Set the rows from `start` on. vectors: float32 (m, w) with w <= 528."""
        for first, block, at, size in self._parts(start, start + len(vectors)):
            written = block.vectors[at : at + size]
            written[:, : vectors.shape[1]] = vectors[first - start : first - start + size]
            block.codes.write(at, written)

    def take(self, rows: Int64Array) -> Float32Array:
        """The vectors of rows, float32 (len(rows), 528)."""
        found = np.empty((len(rows), PADDED_DIMENSION), dtype=np.float32)
        block, at = np.divmod(rows - self.first_row, BLOCK_ROWS)
        for number in np.unique(block).tolist():
            here = block == number
            found[here] = self.blocks[number].vectors[at[here]]
        return found

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, Block, int, int]]:
        """Rows [start, stop), block by block: the first row, the block, its number there, and how many
        rows."""
        while start < stop:
            number, at = divmod(start - self.first_row, BLOCK_ROWS)
            size = min(BLOCK_ROWS - at, stop - start)
            yield start, self.blocks[number], at, size
            start += size
