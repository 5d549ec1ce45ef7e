"""Chooses which runs of a video become rows of the report: one row per match, with pairs in its
ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from common.types import Float32Array, Float64Array, Int64Array
from searcher.index.state import VideoSegments
from searcher.matching.alignment import BEST_WINDOWS, Run
from searcher.matching.query_windows import QueryWindows
from searcher.matching.temporal_fit import mean_along

# Further runs of a video count as copies if their score is at least this fraction of its best run's
# score.
FURTHER_SHARE = 0.8
# A row is dropped if this fraction of its query range lies in that of a better row.
_ACROSS_SHARE = 0.5
# A row is moved to the line of a better row if it is further away than this and its windows have this
# fraction of its similarity along that line.
_LINE_SECONDS, _EXPLAINED_SHARE = 2.0, 0.9
# Most windows of a still have at least this similarity to its best window. Two stills are the same if
# their best windows have at least _SAME_STILL.
_STILL, _SAME_STILL, _EDGE_SECONDS = 0.9, 0.8, 0.3
# For a part that the reference repeats: the fraction of the own line's contrast that a repetition needs,
# the minimum contrast of the own line, the maximum number of repetitions, and of compared windows.
_AGAIN_SHARE, _CONTRAST, _MOST_AGAIN, _AGAIN_WINDOWS = 0.75, 0.15, 20, 64
_OFFSET_STEP, _AGAIN_SECONDS, _APART_SHARE = 0.5, 3.0, 0.25

Refine = Callable[[Run], Run]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the report. run: gives the score and the pairs. shown: gives the ranges."""

    run: Run
    shown: Run


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

    def along(self, run: Run, line: Run) -> float:
        """Mean similarity of a run's windows along the line of another run; 0 without a tempo or
        windows."""
        if line.tempo is None:
            return 0.0
        chosen = self.within(run)[:_AGAIN_WINDOWS]
        if not len(chosen):
            return 0.0
        middle = (self.starts[chosen] + self.ends[chosen]) / 2
        return float(self._along(chosen, _at(line, middle)[None])[0])

    def _along(self, chosen: Int64Array, at: Float64Array) -> Float64Array:
        """float64 (k,): mean similarity of the chosen windows along k lines. at: float64 (k, n),
        reference times."""
        similarity = self.vectors[chosen] @ self.segments.vectors.T
        inside = (at >= self.ref_starts[0] - 1e-6) & (at < self.ref_ends[-1])
        return mean_along(similarity, at, (self.ref_starts + self.ref_ends) / 2, inside)

    def still(self, row: Row) -> Float32Array | None:
        """float32 (527,): the vector of a row in which nothing changes; None for other rows."""
        inside = (self.starts >= row.shown.query_start_seconds - _EDGE_SECONDS) & (
            self.ends <= row.shown.query_end_seconds + _EDGE_SECONDS
        )
        best = np.flatnonzero(self.windows == row.run.pairs[0][0])
        if not len(best) or not inside.any():
            return None
        shown: Float32Array = self.vectors[best[0]]
        # The median, because windows at the edges also show something else.
        return shown if float(np.median(self.vectors[inside] @ shown)) >= _STILL else None

    def again(self, run: Run) -> list[Run]:
        """Further parts of the reference that show the same as a run, most similar first."""
        chosen = self.within(run)
        chosen = chosen[:: -(-len(chosen) // _AGAIN_WINDOWS)] if len(chosen) else chosen
        if run.tempo is None or run.seconds < _AGAIN_SECONDS or len(chosen) < BEST_WINDOWS:
            return []
        middle = (self.starts[chosen] + self.ends[chosen]) / 2
        own = _at(run, middle)
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
            if all(abs(moves[at] - one) >= (1 - _APART_SHARE) * seconds for one in found):
                found.append(float(moves[at]))
        return [
            replace(
                run,
                ref_start_seconds=max(0.0, run.ref_start_seconds + move),
                ref_end_seconds=run.ref_end_seconds + move,
            )
            for move in found[1:]
        ]


def _at(line: Run, times: Float64Array) -> Float64Array:
    """float64 (n,): the reference times of query times on the line of a run; a run without a tempo counts
    as 1."""
    tempo = line.tempo or 1.0
    if tempo < 0:
        return line.ref_end_seconds + tempo * (times - line.query_start_seconds)
    return line.ref_start_seconds + tempo * (times - line.query_start_seconds)


def choose_rows(
    runs: tuple[Run, ...], comparison: Comparison, refine: Refine, probable: Callable[[Run], bool]
) -> list[Row]:
    """The rows of a video. runs: best first. refine: gives the shown ranges of a run. probable: whether a
    run may be listed again for each repetition in the reference."""
    rows: list[Row] = []
    for run in runs:
        if run.score < FURTHER_SHARE * runs[0].score:
            continue
        row = _supported(run, comparison, refine, first=run is runs[0])
        row = None if row is None else _on_line(row, rows, comparison)
        if row is None or any(_goes(row.shown, better.shown) for better in rows):
            continue
        inner = [one for one in rows if one.shown.is_within(row.shown)]
        rows = [one for one in rows if one not in inner]
        rows.append(Row(inner[0].run, row.shown) if inner else row)
    return _once(rows, comparison, refine, probable)


def _supported(run: Run, comparison: Comparison, refine: Refine, *, first: bool) -> Row | None:
    """The row of a run, with pairs in its ranges; None if nothing in them is similar enough. first: the
    best run always gets a row."""
    for shown in (refine(run), run):
        if comparison.holds(run, shown):
            return Row(run, shown)
        pairs = comparison.pairs(shown)
        score = float(np.mean([pair[2] for pair in pairs])) if pairs else 0.0
        if score >= FURTHER_SHARE * run.score:
            return Row(replace(run, pairs=pairs, score=run.score if first else score), shown)
    return Row(run, run) if first else None


def _on_line(row: Row, rows: list[Row], comparison: Comparison) -> Row:
    """The row, moved to the line of a better row if it is about as similar there. In a scene with little
    motion, the most similar segment does not determine the time well."""
    one = row.shown
    times = np.array([one.query_start_seconds, one.query_end_seconds])
    for better in rows:
        line = better.shown
        if line.tempo is None:
            continue
        start, end = sorted(_at(line, times).tolist())
        apart = abs(start + end - one.ref_start_seconds - one.ref_end_seconds) / 2
        if apart <= _LINE_SECONDS or start < 0 or end > comparison.ref_ends[-1]:
            continue
        if comparison.along(one, line) < _EXPLAINED_SHARE * row.run.score:
            continue
        moved = replace(one, ref_start_seconds=start, ref_end_seconds=end, tempo=line.tempo)
        pairs = comparison.pairs(moved)
        if pairs:
            score = min(row.run.score, float(np.mean([pair[2] for pair in pairs])))
            return Row(replace(moved, pairs=pairs, score=score), moved)
    return row


def _goes(one: Run, better: Run) -> bool:
    """Whether a row is contained in a better row or contradicts it."""
    if one.is_within(better):
        return True
    if better.is_within(one):
        return False
    both = min(one.query_end_seconds, better.query_end_seconds) - max(
        one.query_start_seconds, better.query_start_seconds
    )
    return both >= _ACROSS_SHARE * min(one.seconds, better.seconds)


def _once(
    rows: list[Row],
    comparison: Comparison,
    refine: Refine,
    probable: Callable[[Run], bool],
) -> list[Row]:
    """The rows, with each still once and each moving part once per repetition in the reference."""
    stills: list[Float32Array] = []
    kept: list[Row] = []
    for row in rows:
        still = comparison.still(row)
        if still is not None:
            if any(float(still @ other) >= _SAME_STILL for other in stills):
                continue
            stills.append(still)
        kept.append(row)
    further: list[Row] = []
    for row in kept:
        if comparison.still(row) is not None or not probable(row.run):
            continue
        for again in comparison.again(row.shown):
            pairs = comparison.pairs(again)
            if pairs and not any(_same_ranges(again, one.shown) for one in (*kept, *further)):
                score = float(np.mean([pair[2] for pair in pairs]))
                run = replace(again, score=min(score, row.run.score), pairs=pairs)
                shown = refine(run)
                further.append(Row(run, shown if comparison.holds(run, shown) else run))
    return [*kept, *further]


def _same_ranges(one: Run, other: Run) -> bool:
    """Whether two rows overlap in the query and in the reference."""
    query = min(one.query_end_seconds, other.query_end_seconds) - max(
        one.query_start_seconds, other.query_start_seconds
    )
    ref = min(one.ref_end_seconds, other.ref_end_seconds) - max(
        one.ref_start_seconds, other.ref_start_seconds
    )
    return query > 0 and ref > _APART_SHARE * (one.ref_end_seconds - one.ref_start_seconds)
