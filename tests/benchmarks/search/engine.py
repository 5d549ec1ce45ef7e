"""What an engine is to the benchmark."""

from __future__ import annotations

from typing import Protocol

from common.types import Float32Array, Int64Array


class Engine(Protocol):
    """An index that is built already."""

    def set_candidates(self, candidates: int) -> bool:
        """How many candidates a search keeps. False if it keeps none, because it is exact."""
        ...

    def search(self, query: Float32Array, k: int) -> Int64Array:
        """The nearest rows of one query, float32 (527,), best first."""
        ...

    def resident_bytes(self) -> int | None:
        """Memory of a server; None if the engine is in this process."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


class InProcess:
    """What engines in this process share."""

    def __init__(self) -> None:
        self.candidates = 64

    def set_candidates(self, candidates: int) -> bool:
        self.candidates = candidates
        return True

    def resident_bytes(self) -> int | None:
        return None

    def close(self) -> None:
        pass
