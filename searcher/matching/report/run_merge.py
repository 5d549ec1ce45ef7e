"""Merges runs that were split: between the pieces of a long query, or between two views."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from searcher.matching.alignment.alignment import MAX_JUMP_SECONDS
from searcher.matching.alignment.peaks import BEST_WINDOWS
from searcher.matching.alignment.run import Run
from searcher.matching.report.run_matches import RunMatch

# A run in the next piece may start this much before the end of this one: a window and its margin.
_OVERLAP_SECONDS = 5.0
# Tempi are tried in steps of about this size. In runs shorter than this, the tempo is unreliable.
_TEMPO_STEP, _TEMPO_SECONDS = 0.21, 6.0


def merge_runs(run_matches: Iterable[RunMatch]) -> list[RunMatch]:
    """Merge two runs of one video and view if the second one continues the first one in the next piece.
    The ranges span both; the score is the mean of the best pairs of both."""
    merged: list[RunMatch] = []
    # Runs that may continue, by video and view.
    ending: dict[tuple[str, str], list[RunMatch]] = {}
    for run_match in sorted(run_matches, key=_order):
        before = ending.setdefault((run_match.video_id, run_match.view), [])
        for number, one in enumerate(before):
            if continues_run(one, run_match):
                before[number] = joined_runs(one, run_match)
                break
        else:
            before.append(run_match)
    for some in ending.values():
        merged += some
    return merged


def _order(run_match: RunMatch) -> tuple[int, float]:
    return run_match.pieces[0], run_match.localised.query_start_seconds


def continues_run(one: RunMatch, other: RunMatch) -> bool:
    """Whether `other` continues `one` in the next piece."""
    return one.pieces[1] + 1 == other.pieces[0] and continues(one.localised, other.localised)


def continues(first: Run, second: Run) -> bool:
    """Whether the second run begins where the first one ends, in the query and in the reference."""
    gap_seconds = second.query_start_seconds - first.query_end_seconds
    if not -_OVERLAP_SECONDS <= gap_seconds <= max(first.gap_seconds, second.gap_seconds):
        return False
    if first.tempo is None or second.tempo is None:
        # Without a tempo, only the distance of the ranges decides.
        apart = max(
            second.ref_start_seconds - first.ref_end_seconds,
            first.ref_start_seconds - second.ref_end_seconds,
        )
        return apart <= MAX_JUMP_SECONDS
    tempo = _longer(first, second).tempo or 1.0
    same_way = (first.tempo < 0) == (second.tempo < 0)
    tempo_is_measured = min(first.seconds, second.seconds) >= _TEMPO_SECONDS
    if not same_way or (tempo_is_measured and abs(first.tempo - second.tempo) > _TEMPO_STEP):
        return False
    ends, begins = (
        (first.ref_end_seconds, second.ref_start_seconds)
        if tempo >= 0
        else (first.ref_start_seconds, second.ref_end_seconds)
    )
    return abs(begins - ends - tempo * gap_seconds) <= MAX_JUMP_SECONDS


def joined_runs(one: RunMatch, other: RunMatch) -> RunMatch:
    """One row for two of a video, the first of which comes before the other in the query."""
    pairs = [*zip(one.run.pairs, one.pairs, strict=True)]
    pairs += zip(other.run.pairs, other.pairs, strict=True)
    # The best pairs of both runs are the best of all.
    best = sorted(pairs, key=lambda pair: -pair[1].similarity)[:BEST_WINDOWS]
    score = float(np.mean([pair.similarity for _, pair in best]))
    run = one.run.spanning(other.run)
    better = max(one, other, key=lambda run_match: run_match.run.score)
    return replace(
        better,
        run=replace(run, score=score, pairs=tuple(pair for pair, _ in best)),
        localised=one.localised.spanning(other.localised),
        pairs=tuple(pair for _, pair in best),
        pieces=(one.pieces[0], other.pieces[1]),
        # One part that is proven is enough.
        time=min(one.time, other.time, key=lambda time: time.is_one_picture),
        place=one.place.joined(other.place),
        chance=max((one.chance, other.chance), key=lambda rate: -1.0 if rate is None else rate),
    )


def _longer(first: Run, second: Run) -> Run:
    return second if second.seconds > first.seconds else first


def best_of(run_matches: Sequence[RunMatch], most: int) -> list[RunMatch]:
    """At most `most` matches, by run score. If there are more, the best match of every video comes
    first."""
    ranked = sorted(run_matches, key=lambda run_match: -run_match.run.score)
    if len(ranked) <= most:
        return ranked
    videos: Counter[str] = Counter()
    turns = []
    for run_match in ranked:
        turns.append((videos[run_match.video_id], -run_match.run.score))
        videos[run_match.video_id] += 1
    order = sorted(range(len(ranked)), key=turns.__getitem__)[:most]
    return [ranked[number] for number in sorted(order)]
