"""Merges the reports of two passes: a second pass adds to what the first one found, and takes nothing
away.

The second pass sees the query through more views. It may match a video less surely than the first one,
for example through a part of the picture, or in a shorter range. So of each video the better pass is
kept. Where both tell the same line (one offset, one tempo), their ranges are joined.
"""

from __future__ import annotations

from dataclasses import replace

from common.types import Match
from searcher.matching.report.match_report import MatchReport
from searcher.matching.scoring.policy import Decision, Policies

# Two matches are on one line if their reference times differ by at most this much where they overlap, and
# their tempi by less than a step of those that are tried.
_LINE_SECONDS, _TEMPO_STEP = 1.0, 0.21
# A range that is joined must have at least this probability: others are on the same line by chance.
_LEAST_PROBABILITY = 0.01
# Two matches of a video may share this much of the query, and at most half of the shorter one.
_SHARED_SECONDS = 1.0

_Judged = list[tuple[Match, Decision]]


def merge_passes(first: MatchReport, second: MatchReport, policies: Policies) -> MatchReport:
    """The report of the second pass, with each match of the first one that is better. policies: decide
    again."""
    before, after = _by_video(first), _by_video(second)
    runs: list[Match] = []
    for video_id in dict.fromkeys([*after, *before]):
        runs += _of_video(
            before.get(video_id, []), after.get(video_id, []), second.duration_seconds
        )
    merged = second.with_matches(runs, policies)
    return replace(merged, truncated=second.truncated or first.truncated)


def _by_video(report: MatchReport) -> dict[str, _Judged]:
    found: dict[str, _Judged] = {}
    for match, decision in report.judged:
        found.setdefault(match.video_id, []).append((match, decision))
    return found


def _of_video(first: _Judged, second: _Judged, query_seconds: float) -> list[Match]:
    """The matches of one video, from both passes; best first, at least one of the two has some."""
    if not first or not second:
        return [match for match, _ in first or second]
    better, other = (second, first) if _replaces(second, first) else (first, second)
    kept = [match for match, _ in better]
    for match, decision in other:
        same = [number for number, one in enumerate(kept) if on_one_line(one, match)]
        if same and match.probability >= _LEAST_PROBABILITY:
            kept[same[0]] = joined(kept[same[0]], match, query_seconds)
        elif decision != "no_match" and not any(_overlap(one, match) for one in kept):
            kept.append(match)
    return kept


def _replaces(second: _Judged, first: _Judged) -> bool:
    """Whether the matches of a second pass replace those of the first one: they are neither less probable
    nor less verified, and the best one is not shorter if they are only equal."""
    new, old = second[0][0], first[0][0]
    if (_is_verified(second), new.probability) == (_is_verified(first), old.probability):
        return _seconds(new) >= _seconds(old)
    return _is_verified(second) >= _is_verified(first) and new.probability >= old.probability


def _is_verified(judged: _Judged) -> bool:
    """Whether the pictures of a match were compared and agree."""
    verifications = (match.evidence.get("verification", {}) for match, _ in judged)
    return any(one.get("outcome") == "confirmed" for one in verifications)


def on_one_line(one: Match, other: Match) -> bool:
    """Whether two matches overlap in the query and tell the same offset and tempo."""
    tempo, other_tempo = one.evidence.get("tempo"), other.evidence.get("tempo")
    if tempo is None or other_tempo is None or _shared(one, other) <= 0:
        return False
    if (tempo < 0) != (other_tempo < 0) or abs(tempo - other_tempo) > _TEMPO_STEP:
        return False
    start = max(one.query_start_seconds, other.query_start_seconds)
    end = min(one.query_end_seconds, other.query_end_seconds)
    return all(
        abs(_at(one, tempo, seconds) - _at(other, other_tempo, seconds)) <= _LINE_SECONDS
        for seconds in (start, end)
    )


def joined(one: Match, other: Match, query_seconds: float) -> Match:
    """The match with the ranges of both; all else is its own."""
    start = min(one.query_start_seconds, other.query_start_seconds)
    end = max(one.query_end_seconds, other.query_end_seconds)
    return replace(
        one,
        query_start_seconds=start,
        query_end_seconds=end,
        ref_start_seconds=min(one.ref_start_seconds, other.ref_start_seconds),
        ref_end_seconds=max(one.ref_end_seconds, other.ref_end_seconds),
        coverage=max(one.coverage, min(1.0, (end - start) / query_seconds)),
    )


def _at(match: Match, tempo: float, query_seconds: float) -> float:
    """The reference time of a query time on the line of a match."""
    begin = match.ref_start_seconds if tempo > 0 else match.ref_end_seconds
    return float(begin + tempo * (query_seconds - match.query_start_seconds))


def _shared(one: Match, other: Match) -> float:
    """Seconds of the query that two matches share; negative if they are apart."""
    return min(one.query_end_seconds, other.query_end_seconds) - max(
        one.query_start_seconds, other.query_start_seconds
    )


def _overlap(one: Match, other: Match) -> bool:
    """Whether two matches tell of the same part of the query."""
    shortest = min(_seconds(one), _seconds(other))
    return _shared(one, other) > min(_SHARED_SECONDS, shortest / 2)


def _seconds(match: Match) -> float:
    return match.query_end_seconds - match.query_start_seconds
