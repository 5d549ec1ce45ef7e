"""The hits of a query through one view: pairs of a window and a similar segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from common.types import BoolArray, Float64Array, Hit, Int64Array

# Number of hits of a window that count, and the maximum that is requested if copies take their places.
HITS_PER_WINDOW = 20
MOST_HITS = 1280


@dataclass(frozen=True)
class ViewHits:
    """Arrays with one entry per hit. Hits of the same window are ordered, best first.

    names: ids of the videos, by number. windows: int64, position of the window among the searched ones.
    videos: int64, number of the video. seconds: float64, middle of the segment. scores: float64.
    """

    names: Sequence[str]
    windows: Int64Array
    videos: Int64Array
    seconds: Float64Array
    scores: Float64Array

    @classmethod
    def of(cls, found: Mapping[int, Sequence[Hit]]) -> ViewHits:
        """The hits as arrays. found: the hits of each window, best first."""
        numbers: dict[str, int] = {}
        rows = [
            (
                window,
                numbers.setdefault(hit.ref.video_id, len(numbers)),
                (hit.ref.start_seconds + hit.ref.end_seconds) / 2,
                hit.score,
            )
            for window, hits in sorted(found.items())
            for hit in hits
        ]
        table = np.array(rows, dtype=np.float64).reshape(-1, 4)
        return cls(
            tuple(numbers),
            table[:, 0].astype(np.int64),
            table[:, 1].astype(np.int64),
            table[:, 2],
            table[:, 3],
        )

    @classmethod
    def joined(cls, parts: Sequence[ViewHits]) -> ViewHits:
        """The hits of all parts, and the names of the videos that have one: a video may be deleted
        between two searches. No window may be in two parts."""
        numbers: dict[str, int] = {}
        videos = [np.zeros(0, dtype=np.int64)]
        for part in parts:
            renamed = np.zeros(len(part.names), dtype=np.int64)
            for video in np.unique(part.videos).tolist():
                renamed[video] = numbers.setdefault(part.names[video], len(numbers))
            videos.append(renamed[part.videos])
        windows = np.concatenate([videos[0], *(part.windows for part in parts)])
        order = np.argsort(windows, kind="stable")
        nothing = np.zeros(0)
        return cls(
            tuple(numbers),
            windows[order],
            np.concatenate(videos)[order],
            np.concatenate([nothing, *(part.seconds for part in parts)])[order],
            np.concatenate([nothing, *(part.scores for part in parts)])[order],
        )

    def only(self, chosen: BoolArray) -> ViewHits:
        """The chosen hits. chosen: bool (n,)."""
        return ViewHits(
            self.names,
            self.windows[chosen],
            self.videos[chosen],
            self.seconds[chosen],
            self.scores[chosen],
        )

    @cached_property
    def best(self) -> Float64Array:
        """float64 (videos,): the best score of each video; -1 for a video without hits."""
        best = np.full(len(self.names), -1.0)
        np.maximum.at(best, self.videos, self.scores)
        return best

    @cached_property
    def _of_video(self) -> list[Int64Array]:
        order = np.argsort(self.videos, kind="stable")
        borders = np.searchsorted(self.videos[order], np.arange(1, len(self.names)))
        return np.split(order, borders)

    def of_video(self, video: int) -> Int64Array:
        """int64 (m,): the numbers of a video's hits."""
        return self._of_video[video]

    def of_window(self, window: int) -> slice:
        """The range of a window's hits."""
        first, last = np.searchsorted(self.windows, [window, window + 1]).tolist()
        return slice(first, last)
