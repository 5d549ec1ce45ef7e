"""The windows of a query, or of a piece of a long one, that have information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float32Array, Int64Array, QueryEmbedding
from searcher.matching.alignment.run import Spans

# Single frames are for localisation. A search with them would find nothing that longer windows miss.
_SEARCHED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ViewWindows:
    """The windows with information through one view. windows: int64 (n,), their numbers, increasing.
    vectors: float32 (n, 527), unit norm."""

    name: str
    windows: Int64Array
    vectors: Float32Array

    def mask(self, count: int) -> BoolArray:
        """bool (count,): True for these windows."""
        among = np.zeros(count, dtype=bool)
        among[self.windows] = True
        return among


@dataclass(frozen=True, slots=True)
class QueryWindows:
    """The windows of a query. windows: all of them. searched: bool (W,), windows to search with; all if
    none is at least one second long. duration_seconds: length of the complete query."""

    uri: str
    duration_seconds: float
    model_id: str
    windows: Spans
    searched: BoolArray
    views: tuple[ViewWindows, ...]

    @classmethod
    def of(cls, *passes: QueryEmbedding) -> QueryWindows:
        """Combine passes over the same windows. A view of two passes is that of the last one, which has
        more windows. Raises ValueError if the windows differ."""
        first, *others = passes
        for other in others:
            first.check_same_windows(other)
        views = {
            name: ViewWindows(name, np.flatnonzero(known), embedded.vectors[number, known])
            for embedded in passes
            for number, (name, known) in enumerate(
                zip(embedded.views, embedded.informative, strict=True)
            )
        }
        long = first.window_end_seconds - first.window_start_seconds >= _SEARCHED_SECONDS
        return cls(
            first.uri,
            first.duration_seconds,
            first.model_id,
            Spans(first.window_start_seconds, first.window_end_seconds),
            long if long.any() else np.ones(len(long), dtype=bool),
            tuple(views.values()),
        )

    @property
    def shows_something(self) -> bool:
        """Whether any window has information."""
        return any(len(view.windows) for view in self.views)
