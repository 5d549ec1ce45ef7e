"""A query, or a piece of a long one, as matching works on it: only the windows that show something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float32Array, Int64Array, QueryEmbedding
from searcher.matching.alignment import Spans

# Single frames say when, not what: searching with them finds nothing that longer windows do not.
_SEARCHED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AskedView:
    """The windows that show something through one view. windows: int64 (n,), their numbers, increasing;
    vectors: float32 (n, 527), unit norm."""

    name: str
    windows: Int64Array
    vectors: Float32Array

    def informative(self, count: int) -> BoolArray:
        """bool (count,): these of all windows."""
        among = np.zeros(count, dtype=bool)
        among[self.windows] = True
        return among


@dataclass(frozen=True, slots=True)
class Asked:
    """windows: all there are. searched: bool (W,), those that are searched with; all of them where the
    query has none of a second. duration_seconds: of the whole query."""

    uri: str
    duration_seconds: float
    model_id: str
    windows: Spans
    searched: BoolArray
    views: tuple[AskedView, ...]

    @classmethod
    def of(cls, *looks: QueryEmbedding) -> Asked:
        """What several looks at the same windows saw. Raises ValueError for looks at others, or through
        views of the same name."""
        first, *others = looks
        for other in others:
            first.check_same_windows(other)
        views = [
            AskedView(name, np.flatnonzero(known), look.vectors[number, known])
            for look in looks
            for number, (name, known) in enumerate(zip(look.views, look.informative, strict=True))
        ]
        if len({view.name for view in views}) < len(views):
            raise ValueError("looks: expected views of different names")
        long = first.window_end_seconds - first.window_start_seconds >= _SEARCHED_SECONDS
        return cls(
            first.uri,
            first.duration_seconds,
            first.model_id,
            Spans(first.window_start_seconds, first.window_end_seconds),
            long if long.any() else np.ones(len(long), dtype=bool),
            tuple(views),
        )

    @property
    def shows_something(self) -> bool:
        """Whether one window has information."""
        return any(len(view.windows) for view in self.views)
