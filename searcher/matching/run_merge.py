"""Runs that a long query's pieces cut in two, made one again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from searcher.matching.alignment import BEST_WINDOWS, MAX_JUMP_SECONDS, Run
from searcher.matching.piece_findings import Finding

# A run in the next piece may begin so much before the one in this piece ends: a window and its margin.
_OVERLAP_SECONDS = 5.0
# Tempi are tried in steps of about so much; one of a shorter run is a guess.
_TEMPO_STEP, _TEMPO_SECONDS = 0.21, 6.0


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Runs of one video through one view, of which the second goes on in the next piece where the first
    ends, as one: its ranges span both, and the best pairs of both are its score."""
    told: list[Finding] = []
    # Those that may go on, by video and view.
    ending: dict[tuple[str, str], list[Finding]] = {}
    for finding in sorted(findings, key=_order):
        before = ending.setdefault((finding.video_id, finding.view), [])
        for number, one in enumerate(before):
            if goes_on(one, finding):
                before[number] = _joined(one, finding)
                break
        else:
            before.append(finding)
    for some in ending.values():
        told += some
    return told


def _order(finding: Finding) -> tuple[int, float]:
    return finding.pieces[0], finding.shown.query_start_seconds


def goes_on(one: Finding, other: Finding) -> bool:
    """Whether a run is the other's beginning, in the piece before."""
    if one.pieces[1] + 1 != other.pieces[0]:
        return False
    first, second = one.shown, other.shown
    gap_seconds = second.query_start_seconds - first.query_end_seconds
    if not -_OVERLAP_SECONDS <= gap_seconds <= max(first.gap_seconds, second.gap_seconds):
        return False
    if first.tempo is None or second.tempo is None:
        # Nothing is known but where they lie.
        apart = max(
            second.ref_start_seconds - first.ref_end_seconds,
            first.ref_start_seconds - second.ref_end_seconds,
        )
        return apart <= MAX_JUMP_SECONDS
    tempo = _longer(first, second).tempo or 1.0
    same_way = (first.tempo < 0) == (second.tempo < 0)
    told = min(first.seconds, second.seconds) >= _TEMPO_SECONDS
    if not same_way or (told and abs(first.tempo - second.tempo) > _TEMPO_STEP):
        return False
    ends, begins = (
        (first.ref_end_seconds, second.ref_start_seconds)
        if tempo >= 0
        else (first.ref_start_seconds, second.ref_end_seconds)
    )
    return abs(begins - ends - tempo * gap_seconds) <= MAX_JUMP_SECONDS


def _joined(one: Finding, other: Finding) -> Finding:
    pairs = [*zip(one.run.pairs, one.pairs, strict=True)]
    pairs += zip(other.run.pairs, other.pairs, strict=True)
    # The best pairs of both are the best of all.
    best = sorted(pairs, key=lambda pair: -pair[1].similarity)[:BEST_WINDOWS]
    score = float(np.mean([pair.similarity for _, pair in best]))
    run = _spanning(one.run, other.run)
    better = max(one, other, key=lambda finding: finding.run.score)
    return replace(
        better,
        run=replace(run, score=score, pairs=tuple(told for told, _ in best)),
        shown=_spanning(one.shown, other.shown),
        pairs=tuple(pair for _, pair in best),
        pieces=(one.pieces[0], other.pieces[1]),
    )


def _spanning(first: Run, second: Run) -> Run:
    tempo = None
    if first.tempo is not None and second.tempo is not None:
        tempo = _longer(first, second).tempo
    return replace(
        first,
        query_start_seconds=min(first.query_start_seconds, second.query_start_seconds),
        query_end_seconds=max(first.query_end_seconds, second.query_end_seconds),
        ref_start_seconds=min(first.ref_start_seconds, second.ref_start_seconds),
        ref_end_seconds=max(first.ref_end_seconds, second.ref_end_seconds),
        tempo=tempo,
        gap_seconds=max(first.gap_seconds, second.gap_seconds),
    )


def _longer(first: Run, second: Run) -> Run:
    return second if second.seconds > first.seconds else first


def best_of(findings: Sequence[Finding], most: int) -> list[Finding]:
    """At most so many, the best by the score of their run."""
    return sorted(findings, key=lambda finding: -finding.run.score)[:most]
