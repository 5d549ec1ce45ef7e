"""Merges the reports of two passes or of two profiles: the second one adds to what the first one found,
and takes nothing away.

The second pass sees the query through more views. It may match a video less surely than the first one,
for example through a part of the picture, or in a shorter range. So of each video the better pass is
kept. Where both tell the same line (one offset, one tempo), their ranges are joined. Two profiles have
thresholds of their own, so the decisions of each are kept, and of each video the stronger one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from common.types import Match
from searcher.decisions import Decision
from searcher.matching.report.match_report import Judged, MatchReport
from searcher.matching.report.row_choice import shared_seconds
from searcher.matching.scoring.policy import Policies, is_stronger, strongest

# Two matches are on one line if their reference times differ by at most this much where they overlap, and
# their tempi by less than a step of those that are tried.
_LINE_SECONDS, _TEMPO_STEP = 1.0, 0.21
# A range that is joined must have at least this probability: others are on the same line by chance.
_LEAST_PROBABILITY = 0.01
# Two matches of a video may share this much of the query, and at most half of the shorter one.
_SHARED_SECONDS = 1.0

_Judged = list[Judged]


def merge_passes(first: MatchReport, second: MatchReport, policies: Policies) -> MatchReport:
    """The report of the second pass, with each match of the first one that is better. policies: decide
    again."""
    runs = _merged(first, second, _replaces)
    merged = second.with_matches([run for run, _ in runs], policies)
    return replace(merged, truncated=second.truncated or first.truncated)


def merge_profiles(first: MatchReport, second: MatchReport) -> MatchReport:
    """The report of the first profile, with each match of the second one that is new or better. Each run
    keeps the decision of its own profile."""
    merged = first.with_judged(_merged(first, second, _overrules))
    return replace(merged, truncated=first.truncated or second.truncated)


def _merged(
    first: MatchReport, second: MatchReport, replaces: Callable[[_Judged, _Judged], bool]
) -> _Judged:
    """replaces: whether the second runs of a video are better than the first ones."""
    before, after = _by_video(first), _by_video(second)
    runs: _Judged = []
    for video_id in dict.fromkeys([*after, *before]):
        old, new = before.get(video_id, []), after.get(video_id, [])
        if not old or not new:
            runs += old or new
        elif replaces(new, old):
            runs += _of_video(new, old, second.duration_seconds)
        else:
            runs += _of_video(old, new, second.duration_seconds)
    return runs


def _by_video(report: MatchReport) -> dict[str, _Judged]:
    found: dict[str, _Judged] = {}
    for match, decision in report.judged:
        found.setdefault(match.video_id, []).append((match, decision))
    return found


def _of_video(better: _Judged, other: _Judged, query_seconds: float) -> _Judged:
    """The runs of one video: the better ones, and of the others what they lack; best first."""
    kept = list(better)
    for match, decision in other:
        same = [number for number, (one, _) in enumerate(kept) if on_one_line(one, match)]
        if same and match.probability >= _LEAST_PROBABILITY:
            one, its_decision = kept[same[0]]
            longer = joined(one, match, query_seconds)
            kept[same[0]] = longer, its_decision
            # The joined one now says of all what others say of a part.
            kept = [
                pair
                for number, pair in enumerate(kept)
                if number not in same[1:] or not _adds_nothing(pair[0], one, longer)
            ]
        elif decision != "no_match" and not any(_overlap(one, match) for one, _ in kept):
            kept.append((match, decision))
    return kept


def _overrules(second: _Judged, first: _Judged) -> bool:
    """Whether the runs of a second profile replace those of the first one: their decision is stronger, or
    it is the same and they are better."""
    new, old = _decision(second), _decision(first)
    return is_stronger(new, old) or (new == old and _replaces(second, first))


def _decision(judged: _Judged) -> Decision:
    return strongest(decision for _, decision in judged)


def _replaces(second: _Judged, first: _Judged) -> bool:
    """Whether the matches of a second pass replace those of the first one: they are neither less probable
    nor less verified, and the best one is not shorter if they are only equal."""
    new, old = second[0][0], first[0][0]
    if (_is_verified(second), new.probability) == (_is_verified(first), old.probability):
        return _seconds(new) >= _seconds(old)
    return _is_verified(second) >= _is_verified(first) and new.probability >= old.probability


def _is_verified(judged: _Judged) -> bool:
    """Whether the pictures of a match were compared and agree."""
    return any(_is_confirmed(match) for match, _ in judged)


def _is_confirmed(match: Match) -> bool:
    verification: Mapping[str, object] = match.evidence.get("verification", {})
    return verification.get("outcome") == "confirmed"


def on_one_line(one: Match, other: Match) -> bool:
    """Whether two matches overlap in the query and tell the same offset and tempo."""
    tempo, other_tempo = one.evidence.get("tempo"), other.evidence.get("tempo")
    if tempo is None or other_tempo is None or shared_seconds(one, other) <= 0:
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


def _overlap(one: Match, other: Match) -> bool:
    """Whether two matches tell of the same part of the query."""
    shortest = min(_seconds(one), _seconds(other))
    return shared_seconds(one, other) > min(_SHARED_SECONDS, shortest / 2)


def _adds_nothing(part: Match, before: Match, longer: Match) -> bool:
    """Whether a match lies in another one since that became longer, and is not the only verified one."""
    new = _is_inside(part, longer) and not _is_inside(part, before)
    return new and _is_confirmed(part) <= _is_confirmed(longer)


def _is_inside(one: Match, other: Match) -> bool:
    """Whether the other match tells the whole range of the query."""
    return (
        other.query_start_seconds <= one.query_start_seconds
        and one.query_end_seconds <= other.query_end_seconds
    )


def _seconds(match: Match) -> float:
    return match.query_end_seconds - match.query_start_seconds
