"""Chooses which runs of a video become rows of the report: one row per match, with pairs in its
ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce

import numpy as np

from common.types import Match
from searcher.matching.alignment.run import Run
from searcher.matching.localisation.row_comparison import (
    APART_SHARE,
    Comparison,
    Row,
    Still,
    at_line,
)

# Further runs of a video count if they are copies by themselves, or if their score is at least this
# fraction of its best run's score.
FURTHER_SHARE = 0.8
# A row is dropped if this fraction of its query range lies in that of a better row.
_ACROSS_SHARE = 0.5
# Two rows may share this much of the query and of the reference.
_SHARED_SECONDS = 1.0
# A row is moved to the line of a better row if it is further away than this and its windows have this
# fraction of its similarity along that line.
_LINE_SECONDS, _EXPLAINED_SHARE = 2.0, 0.9
# Two rows are parts of one if they are on one line to this much.
_SAME_LINE_SECONDS = 0.5

Refine = Callable[[Run], Run]


def choose_rows(
    runs: tuple[Run, ...],
    comparison: Comparison,
    refine: Refine,
    probable: Callable[[Run], bool],
    is_copy: Callable[[Run], bool],
) -> list[Row]:
    """The rows of a video. runs: best first. refine: localises the ranges of a run. probable: whether a
    run may be listed again for each repetition in the reference. is_copy: whether a run is a copy by
    itself."""
    rows: list[Row] = []
    for run in runs:
        if run.score < FURTHER_SHARE * runs[0].score and not is_copy(run):
            continue
        row = _supported(run, comparison, refine, first=run is runs[0])
        row = None if row is None else _on_line(row, rows, comparison)
        if row is None:
            continue
        row, others = _joined(row, rows)
        if any(_is_redundant(row.localised, better.localised) for better in others):
            continue
        rows = others
        row = _without_overlap(row, rows, comparison)
        if row is None:
            continue
        inner = [one for one in rows if one.localised.is_within(row.localised)]
        rows = [one for one in rows if one not in inner]
        rows.append(Row(inner[0].run, row.localised) if inner else row)
    return _once(rows, comparison, refine, probable)


def _supported(run: Run, comparison: Comparison, refine: Refine, *, first: bool) -> Row | None:
    """The row of a run, with pairs in its ranges; None if nothing in them is similar enough. first: the
    best run always gets a row."""
    for localised in (refine(run), run):
        if comparison.holds(run, localised):
            return Row(run, localised)
        pairs = comparison.pairs(localised)
        score = float(np.mean([pair[2] for pair in pairs])) if pairs else 0.0
        if score >= FURTHER_SHARE * run.score:
            return Row(replace(run, pairs=pairs, score=run.score if first else score), localised)
    return Row(run, run) if first else None


def _on_line(row: Row, rows: list[Row], comparison: Comparison) -> Row:
    """The row, moved to the line of a better row if it is about as similar there. In a scene with little
    motion, the most similar segment does not determine the time well."""
    run = row.localised
    times = np.array([run.query_start_seconds, run.query_end_seconds])
    moves: list[tuple[Run, float, float]] = []
    for better in rows:
        line = better.localised
        if line.tempo is None:
            continue
        start, end = sorted(at_line(line, times).tolist())
        apart = abs(start + end - run.ref_start_seconds - run.ref_end_seconds) / 2
        if apart > _LINE_SECONDS and start >= 0 and end <= comparison.ref_ends[-1]:
            moves.append((line, start, end))
    # All lines at once, because a video may have 200 rows.
    values = comparison.along(run, [line for line, _, _ in moves])
    for (line, start, end), value in zip(moves, values.tolist(), strict=True):
        if value < _EXPLAINED_SHARE * row.run.score:
            continue
        moved = replace(run, ref_start_seconds=start, ref_end_seconds=end, tempo=line.tempo)
        pairs = comparison.pairs(moved)
        if pairs:
            score = min(row.run.score, float(np.mean([pair[2] for pair in pairs])))
            return Row(replace(moved, pairs=pairs, score=score), moved)
    return row


def _joined(row: Row, rows: list[Row]) -> tuple[Row, list[Row]]:
    """The row, with the better rows that it continues on their line, and the other rows. One match may be
    found as two runs, where a window in between is more like another segment."""
    same = [one for one in rows if _continues(row.localised, one.localised)]
    if not same:
        return row, rows
    parts = [row.localised, *(one.localised for one in same)]
    whole = reduce(Run.spanning, sorted(parts, key=lambda part: -part.seconds))
    return Row(same[0].run, whole), [one for one in rows if one not in same]


def _continues(one: Run, better: Run) -> bool:
    """Whether a run lies on the line of a better one, and overlaps it or begins where it ends."""
    if one.tempo is None or better.tempo is None or (one.tempo < 0) != (better.tempo < 0):
        return False
    if shared_seconds(one, better) < -max(one.gap_seconds, better.gap_seconds):
        return False
    times = np.array([one.query_start_seconds, one.query_end_seconds])
    apart = np.abs(at_line(better, times) - at_line(one, times))
    return bool(apart.max() <= _SAME_LINE_SECONDS)


def _without_overlap(row: Row, rows: list[Row], comparison: Comparison) -> Row | None:
    """The row without the part that a better row covers in the query and in the reference; None if
    nothing similar is left."""
    for better in (one.localised for one in rows):
        localised = row.localised
        query = shared_seconds(localised, better)
        ref = min(localised.ref_end_seconds, better.ref_end_seconds) - max(
            localised.ref_start_seconds, better.ref_start_seconds
        )
        if min(query, ref) <= _SHARED_SECONDS or better.is_within(localised):
            continue
        start, end = localised.query_start_seconds, localised.query_end_seconds
        if start < better.query_start_seconds:
            end = better.query_start_seconds
        else:
            start = better.query_end_seconds
        if end - start <= _SHARED_SECONDS:
            return None
        ref_start, ref_end = localised.ref_start_seconds, localised.ref_end_seconds
        if localised.tempo is not None:
            ref_start, ref_end = sorted(at_line(localised, np.array([start, end])).tolist())
        left = replace(
            localised,
            query_start_seconds=start,
            query_end_seconds=end,
            ref_start_seconds=max(0.0, ref_start),
            ref_end_seconds=ref_end,
        )
        pairs = comparison.pairs(left)
        if not pairs:
            return None
        score = min(row.run.score, float(np.mean([pair[2] for pair in pairs])))
        row = Row(replace(left, pairs=pairs, score=score), left)
    return row


def shared_seconds(one: Run | Match, other: Run | Match) -> float:
    """Seconds of the query that two rows share; negative if they are apart."""
    return min(one.query_end_seconds, other.query_end_seconds) - max(
        one.query_start_seconds, other.query_start_seconds
    )


def _is_redundant(one: Run, better: Run) -> bool:
    """Whether a row is contained in a better row or contradicts it."""
    if one.is_within(better):
        return True
    if better.is_within(one):
        return False
    return shared_seconds(one, better) >= _ACROSS_SHARE * min(one.seconds, better.seconds)


def _once(
    rows: list[Row], comparison: Comparison, refine: Refine, probable: Callable[[Run], bool]
) -> list[Row]:
    """The rows, with each still once and each moving part once per repetition in the reference."""
    stills: list[Still] = []
    distinct: list[Row] = []
    moving: list[Row] = []
    for row in rows:
        still = comparison.still(row)
        if still is None:
            moving.append(row)
        elif any(still.is_same(other) for other in stills):
            continue
        else:
            stills.append(still)
        distinct.append(row)
    further: list[Row] = []
    for row in moving:
        if not probable(row.run):
            continue
        for again in comparison.again(row.localised):
            pairs = comparison.pairs(again)
            if pairs and not any(
                _same_ranges(again, one.localised) for one in (*distinct, *further)
            ):
                score = float(np.mean([pair[2] for pair in pairs]))
                run = replace(again, score=min(score, row.run.score), pairs=pairs)
                localised = refine(run)
                further.append(Row(run, localised if comparison.holds(run, localised) else run))
    return [*distinct, *further]


def _same_ranges(one: Run, other: Run) -> bool:
    """Whether two rows overlap in the query and in the reference."""
    ref = min(one.ref_end_seconds, other.ref_end_seconds) - max(
        one.ref_start_seconds, other.ref_start_seconds
    )
    return shared_seconds(one, other) > 0 and ref > APART_SHARE * (
        one.ref_end_seconds - one.ref_start_seconds
    )
