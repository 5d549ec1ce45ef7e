"""Pairs of a query and a reference that people judged, as extra samples of a calibration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from common.types import BoolArray, Float64Array, Int64Array
from searcher.matching.scoring.calibration import log_length

# Pairs of one state database that are used: the newest ones.
MAX_JUDGED = 10_000
# All judged pairs together have at most this share of the weight, unless the caller chooses another.
DEFAULT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """P judged pairs. right: bool (P,), judged a copy. view: names of views (P). score, shift, seconds:
    float64 (P,), similarity and background shift of the best range, and its length. share: the largest
    share of the weight of all answers that they have together, 0 <= share < 1.

    People judge what was found, so these pairs are no sample of all queries: they say nothing of the
    offsets of views and of the thresholds, and their weight is bounded.
    """

    right: BoolArray
    view: tuple[str, ...]
    score: Float64Array
    shift: Float64Array
    seconds: Float64Array
    share: float = DEFAULT_SHARE

    @classmethod
    def of(cls, pairs: Iterable[tuple[bool, Mapping[str, Any]]], share: float) -> Self:
        """Of verdicts and details of stored matches (JSON values). One whose probability is limited
        is left out, because it follows another rule."""
        rows: list[tuple[bool, str, float, float, float]] = []
        for right, detail in pairs:
            best = max(detail["ranges"], key=lambda one: float(one["probability"]))
            evidence = best["evidence"]
            if evidence.get("limited_by", evidence.get("static_scene")):
                continue
            length = best["query_end_seconds"] - best["query_start_seconds"]
            score, shift = float(evidence["similarity"]), float(evidence["background_lift"])
            rows.append((right, str(best["view"]), score, shift, float(length)))
        numbers = np.array([row[2:] for row in rows], dtype=np.float64).reshape(len(rows), 3)
        return cls(
            np.array([row[0] for row in rows], dtype=bool),
            tuple(row[1] for row in rows),
            *(numbers[:, 0], numbers[:, 1], numbers[:, 2]),
            share,
        )

    def __len__(self) -> int:
        return len(self.view)

    @property
    def digest(self) -> str:
        """8 hexadecimal digits; empty without pairs."""
        if not len(self):
            return ""
        digester = hashlib.blake2b("\n".join(self.view).encode(), digest_size=4)
        for column in (self.right, self.score, self.shift, self.seconds, np.array(self.share)):
            digester.update(np.ascontiguousarray(column).tobytes())
        return digester.hexdigest()

    def weight(self, answers: int) -> float:
        """The weight of one pair beside this number of answers of weight 1: at most 1, and together at
        most `share` of the whole."""
        return min(1.0, self.share / (1 - self.share) * answers / max(1, len(self)))

    def normalised(
        self, weight: float, offsets: Float64Array, views: tuple[str, ...]
    ) -> Float64Array:
        """float64 (P,): normalised scores. weight: of the background shift. offsets: float64 (views,);
        an unknown view has the largest one."""
        number = {name: index for index, name in enumerate(views)}
        largest = int(np.argmax(offsets))
        chosen: Int64Array = np.array(
            [number.get(name, largest) for name in self.view], dtype=np.int64
        )
        return self.score - weight * self.shift - offsets[chosen]

    @property
    def length(self) -> Float64Array:
        """float64 (P,): log2(seconds / 4)."""
        return log_length(self.seconds)
