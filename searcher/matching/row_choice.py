"""Which runs of a video become rows of the report: one row per match, whose pairs lie in its ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from common.types import Float32Array, Float64Array, Int64Array
from searcher.index.state import VideoSegments
from searcher.matching.alignment import BEST_WINDOWS, Run
from searcher.matching.query_windows import QueryWindows
from searcher.matching.temporal_fit import mean_along

# Further runs of a video count as copies if their score is at least this share of its best run's.
FURTHER_SHARE = 0.8
# A row with this share of its query range inside that of a better row goes.
_ACROSS_SHARE = 0.5
# A row is put on the line of a better one, if it is further away than this and that line has this share
# of its similarity there.
_LINE_SECONDS, _EXPLAINED_SHARE = 2.0, 0.9
# Most windows of a still are this similar to its best one; two stills with such windows are the same.
_STILL, _SAME_STILL, _EDGE_SECONDS = 0.9, 0.8, 0.3
# A part that the reference shows again: its line stands out from the other lines by this share of what
# the run's own line does, and that by this similarity; at most so many, and windows that are compared.
_AGAIN_SHARE, _CONTRAST, _MOST_AGAIN, _AGAIN_WINDOWS = 0.75, 0.15, 20, 64
_OFFSET_STEP, _AGAIN_SECONDS, _APART_SHARE = 0.5, 3.0, 0.25

Refine = Callable[[Run], Run]


@dataclass(frozen=True, slots=True)
class Row:
    """run: gives the score and the pairs; shown: gives the ranges."""

    run: Run
    shown: Run


@dataclass(frozen=True)
class Comparison:
    """The windows of a query through one view, and a video.

    windows: int64 (n,), their numbers; starts, ends: float64 (n,); vectors: float32 (n, 527).
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
        """view: its name."""
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
        """Whether the pairs of a run lie in these ranges."""
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
        """The best pairs that lie in these ranges."""
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
        """Mean similarity of the windows of a run along the line of another; 0 if it has none."""
        if line.tempo is None:
            return 0.0
        chosen = self.within(run)[:_AGAIN_WINDOWS]
        if not len(chosen):
            return 0.0
        middle = (self.starts[chosen] + self.ends[chosen]) / 2
        return float(self._along(chosen, _at(line, middle)[None])[0])

    def _along(self, chosen: Int64Array, at: Float64Array) -> Float64Array:
        """float64 (k,): mean similarity of some windows along k lines; at: float64 (k, n)."""
        similarity = self.vectors[chosen] @ self.segments.vectors.T
        inside = (at >= self.ref_starts[0] - 1e-6) & (at < self.ref_ends[-1])
        return mean_along(similarity, at, (self.ref_starts + self.ref_ends) / 2, inside)

    def still(self, row: Row) -> Float32Array | None:
        """float32 (527,): what a row shows in which nothing changes; None for others."""
        inside = (self.starts >= row.shown.query_start_seconds - _EDGE_SECONDS) & (
            self.ends <= row.shown.query_end_seconds + _EDGE_SECONDS
        )
        best = np.flatnonzero(self.windows == row.run.pairs[0][0])
        if not len(best) or not inside.any():
            return None
        shown: Float32Array = self.vectors[best[0]]
        # Most windows: those at the edges show something else too.
        return shown if float(np.median(self.vectors[inside] @ shown)) >= _STILL else None

    def again(self, run: Run) -> list[Run]:
        """Further parts of the reference that show what a run shows, the most similar first."""
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
    """float64 (n,): the reference times of query times on the line of a run that has a tempo."""
    tempo = line.tempo or 1.0
    if tempo < 0:
        return line.ref_end_seconds + tempo * (times - line.query_start_seconds)
    return line.ref_start_seconds + tempo * (times - line.query_start_seconds)


def choose_rows(
    runs: tuple[Run, ...], comparison: Comparison, refine: Refine, probable: Callable[[Run], bool]
) -> list[Row]:
    """The rows of a video. runs: best first; refine: gives the ranges that are shown; probable: whether a
    run may be told again where the reference repeats it."""
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
    """The row of a run, with pairs in its ranges; None if nothing there is as similar as the run says."""
    for shown in (refine(run), run):
        if comparison.holds(run, shown):
            return Row(run, shown)
        pairs = comparison.pairs(shown)
        score = float(np.mean([pair[2] for pair in pairs])) if pairs else 0.0
        if score >= FURTHER_SHARE * run.score:
            return Row(replace(run, pairs=pairs, score=run.score if first else score), shown)
    return Row(run, run) if first else None


def _on_line(row: Row, rows: list[Row], comparison: Comparison) -> Row:
    """The row, on the line of a better one if that is as similar there: in a scene in which little moves
    the most similar segment says little about the time."""
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
    """Whether a better row says all that a row says, or contradicts it."""
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
    """The rows, each still once, and each moving part as often as the reference shows it."""
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
