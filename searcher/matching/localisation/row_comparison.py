"""Compares the windows of a query with the segments of a video, to choose the rows of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.types import Float32Array, Float64Array, Int64Array
from searcher.index.state import VideoSegments
from searcher.matching.alignment.peaks import BEST_WINDOWS
from searcher.matching.alignment.run import Run
from searcher.matching.alignment.temporal_fit import mean_along
from searcher.matching.query_windows import QueryWindows

# Most windows of a still have at least this similarity to its best window.
_STILL, _EDGE_SECONDS = 0.9, 0.3
# Two stills of one picture are at most this much less similar to each other than each within itself. A
# video may have 200 stills, and each is compared with each.
_STILL_NOISE, _STILL_PICTURES = 0.02, 16
# For a part that the reference repeats: the fraction of the own line's contrast that a repetition needs,
# the minimum contrast of the own line, the maximum number of repetitions, and of compared windows.
_AGAIN_SHARE, _CONTRAST, _MOST_AGAIN, _AGAIN_WINDOWS = 0.75, 0.15, 20, 64
_OFFSET_STEP, _AGAIN_SECONDS = 0.5, 3.0
# Two rows that share less than this fraction of their reference ranges are different ones.
APART_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the report. run: gives the score and the pairs. localised: gives the ranges."""

    run: Run
    localised: Run


@dataclass(frozen=True, slots=True)
class Still:
    """A part of the query in which nothing changes. pictures: float32 (n, 527), of its shortest windows,
    at least one: they share no frame, so noise does not make them alike. similarity: the usual one of two
    of its pictures."""

    pictures: Float32Array
    similarity: float

    @classmethod
    def of(cls, pictures: Float32Array) -> Still:
        """At most _STILL_PICTURES of the pictures are kept."""
        some = pictures[:: -(-len(pictures) // _STILL_PICTURES)]
        pairs = np.triu_indices(len(some), 1)
        return cls(some, float(np.median((some @ some.T)[pairs])) if len(pairs[0]) else _STILL)

    def is_same(self, other: Still) -> bool:
        """Whether both show one picture: they are as similar to each other as each is within itself. In a
        slow scene, parts that are seconds apart are not."""
        own = (self.similarity + other.similarity) / 2
        return float(np.median(self.pictures @ other.pictures.T)) >= own - _STILL_NOISE


@dataclass(frozen=True)
class Comparison:
    """The windows of a query through one view, and the segments of a video.

    windows: int64 (n,), their numbers. starts, ends: float64 (n,), seconds. vectors: float32 (n, 527).
    ref_starts, ref_ends: float64 (S,), seconds, of the segments.
    """

    windows: Int64Array
    starts: Float64Array
    ends: Float64Array
    vectors: Float32Array
    segments: VideoSegments
    ref_starts: Float64Array
    ref_ends: Float64Array

    @classmethod
    def of(cls, query: QueryWindows, view: str, segments: VideoSegments) -> Comparison:
        """view: name of the view."""
        seen = next(one for one in query.views if one.name == view)
        return cls(
            seen.windows,
            query.windows.starts[seen.windows],
            query.windows.ends[seen.windows],
            seen.vectors,
            segments,
            np.array([ref.start_seconds for ref in segments.refs]),
            np.array([ref.end_seconds for ref in segments.refs]),
        )

    def within(self, run: Run) -> Int64Array:
        """int64 (m,): positions of the windows whose middle lies in the run."""
        middle = (self.starts + self.ends) / 2
        return np.flatnonzero(
            (middle >= run.query_start_seconds) & (middle <= run.query_end_seconds)
        )

    def holds(self, run: Run, ranges: Run) -> bool:
        """Whether all pairs of a run lie in the ranges of `ranges`."""
        position = {int(window): at for at, window in enumerate(self.windows)}
        return all(
            window in position
            and self.starts[position[window]] < ranges.query_end_seconds
            and self.ends[position[window]] > ranges.query_start_seconds
            and self.ref_starts[segment] < ranges.ref_end_seconds
            and self.ref_ends[segment] > ranges.ref_start_seconds
            for window, segment, _ in run.pairs
        )

    def pairs(self, ranges: Run) -> tuple[tuple[int, int, float], ...]:
        """The best pairs (window, segment, similarity) in these ranges."""
        chosen = self.within(ranges)
        segments = np.flatnonzero(
            (self.ref_starts < ranges.ref_end_seconds) & (self.ref_ends > ranges.ref_start_seconds)
        )
        if not len(chosen) or not len(segments):
            return ()
        similarity = self.vectors[chosen] @ self.segments.vectors[segments].T
        peaks = similarity.argmax(axis=1)
        values = similarity[np.arange(len(chosen)), peaks]
        best = np.argsort(-values, kind="stable")[:BEST_WINDOWS]
        return tuple(
            (int(self.windows[chosen[at]]), int(segments[peaks[at]]), float(values[at]))
            for at in best
        )

    def along(self, run: Run, lines: Sequence[Run]) -> Float64Array:
        """float64 (k,): mean similarity of a run's windows along the lines of k other runs; 0 without
        windows."""
        chosen = self.within(run)[:_AGAIN_WINDOWS]
        if not len(chosen) or not lines:
            return np.zeros(len(lines))
        middle = (self.starts[chosen] + self.ends[chosen]) / 2
        return self._along(chosen, np.array([at_line(line, middle) for line in lines]))

    def _along(self, chosen: Int64Array, at: Float64Array) -> Float64Array:
        """float64 (k,): mean similarity of the chosen windows along k lines. at: float64 (k, n),
        reference times."""
        similarity = self.vectors[chosen] @ self.segments.vectors.T
        inside = (at >= self.ref_starts[0] - 1e-6) & (at < self.ref_ends[-1])
        return mean_along(similarity, at, (self.ref_starts + self.ref_ends) / 2, inside)

    def still(self, row: Row) -> Still | None:
        """What a row shows in which nothing changes; None for other rows."""
        inside = (self.starts >= row.localised.query_start_seconds - _EDGE_SECONDS) & (
            self.ends <= row.localised.query_end_seconds + _EDGE_SECONDS
        )
        best = np.flatnonzero(self.windows == row.run.pairs[0][0])
        if not len(best) or not inside.any():
            return None
        # The median, because windows at the edges also show something else.
        if float(np.median(self.vectors[inside] @ self.vectors[best[0]])) < _STILL:
            return None
        lengths = self.ends - self.starts
        shortest = inside & (lengths <= lengths[inside].min() + 1e-6)
        # A frame is at the start of its window.
        begun = shortest & (self.starts >= row.localised.query_start_seconds - 1e-6)
        return Still.of(self.vectors[begun if begun.any() else shortest])

    def again(self, run: Run) -> list[Run]:
        """Further parts of the reference that show the same as a run, most similar first."""
        chosen = self.within(run)
        chosen = chosen[:: -(-len(chosen) // _AGAIN_WINDOWS)] if len(chosen) else chosen
        if run.tempo is None or run.seconds < _AGAIN_SECONDS or len(chosen) < BEST_WINDOWS:
            return []
        middle = (self.starts[chosen] + self.ends[chosen]) / 2
        own = at_line(run, middle)
        seconds = run.ref_end_seconds - run.ref_start_seconds
        moves = np.arange(
            -run.ref_start_seconds, self.ref_ends[-1] - run.ref_end_seconds + 1e-6, _OFFSET_STEP
        )
        if not len(moves):
            return []
        values = self._along(chosen, own[None] + moves[:, None])
        usual = float(np.median(values))
        near = np.abs(moves) <= 2 * _OFFSET_STEP
        contrast = (float(values[near].max()) if near.any() else usual) - usual
        if contrast < _CONTRAST:
            return []
        found: list[float] = [0.0]
        for at in np.argsort(-values, kind="stable").tolist():
            if values[at] < usual + _AGAIN_SHARE * contrast or len(found) > _MOST_AGAIN:
                break
            if all(abs(moves[at] - one) >= (1 - APART_SHARE) * seconds for one in found):
                found.append(float(moves[at]))
        return [
            replace(
                run,
                ref_start_seconds=max(0.0, run.ref_start_seconds + move),
                ref_end_seconds=run.ref_end_seconds + move,
            )
            for move in found[1:]
        ]


def at_line(line: Run, times: Float64Array) -> Float64Array:
    """float64 (n,): the reference times of query times on the line of a run; a run without a tempo counts
    as 1."""
    tempo = line.tempo or 1.0
    if tempo < 0:
        return line.ref_end_seconds + tempo * (times - line.query_start_seconds)
    return line.ref_start_seconds + tempo * (times - line.query_start_seconds)
