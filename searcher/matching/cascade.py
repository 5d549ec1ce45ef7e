"""The cascade: a second pass runs only where the first one finds no copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.messaging.wire import decode_query, encode_query
from common.spool import Spool
from common.tracing import steps
from common.types import EVERYWHERE, QueryEmbedding, TakePass
from searcher.index.state import EVERYTHING, Filter
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.report.pass_merge import merge_passes
from searcher.matching.uncovered import uncovered
from searcher.matching.within_picture import (
    whole_picture,
    with_further_videos,
    within_picture,
)

Compare: TypeAlias = Callable[[MatchReport], MatchReport]
"""The report after the pictures of its matches were compared; see `TransformFinder.add_to`."""


def has_copy(report: MatchReport) -> bool:
    """Whether a report has a copy."""
    return report.decision == "copy"


def match_cascade(
    matcher: Matcher,
    take_pass: TakePass,
    *,
    only: Filter = EVERYTHING,
    decided: Callable[[MatchReport], bool] = has_copy,
    thorough: bool = False,
    compare: Compare | None = None,
    cancellation: Cancellation = NEVER_CANCELLED,
) -> MatchReport:
    """The report of the first pass if its copies cover the query, otherwise that of both passes
    (`merge_passes`). After a first pass with copies, the second one looks only at the rest of the query,
    and videos that are shown within the picture are added.

    decided: whether a first report has a copy (default: it has one). It must be decided before and after
    its pictures are compared: a copy that only pictures confirm may be the background of another copy,
    which only the second pass sees.
    thorough: run the exhaustive pass, over more windows, over the whole query, so that further copies are
    found. compare: applied to the report; None compares no pictures. A query without information has only
    the first pass. Raises the errors of `take_pass`, `Matcher.match` and `compare`.
    """
    compare, policies = compare or _not_compared, matcher.policies
    with _FirstPassPieces() as kept:
        answer = matcher.begin(only, cancellation)
        for piece in steps("embed, first pass", take_pass("first", EVERYWHERE)):
            answer.add(whole_picture(piece))
            kept.keep(piece)
        report = first = answer.report()
        if first.reason:
            return compare(first)
        rest = EVERYWHERE
        if decided(first) and not thorough:
            first = compare(report)
            if decided(first):
                rest = uncovered(first)
                if kept.show_more:
                    answer = matcher.begin(only, cancellation)
                    for piece in kept:
                        answer.add(within_picture(piece))
                    first = with_further_videos(first, compare(answer.report()))
        if not rest:
            return first
        answer = matcher.begin(only, cancellation)
        closer = take_pass("thorough" if thorough else "closer", rest)
        for number, piece in enumerate(steps("embed, second pass", closer)):
            before = kept.piece(number)
            answer.add(whole_picture(before), within_picture(before, rest), piece)
        merged = compare(merge_passes(report, answer.report(), policies))
        return merged if first is report else merge_passes(first, merged, policies)


def _not_compared(report: MatchReport) -> MatchReport:
    return report


class _FirstPassPieces(Spool):
    """The pieces of the first pass: in memory if there is only one, otherwise on disk. show_more: whether
    they have further views than the whole picture."""

    _only: QueryEmbedding | None = None
    show_more = False

    def keep(self, piece: QueryEmbedding) -> None:
        self.show_more |= len(piece.views) > 1
        if piece.pieces == 1:
            self._only = piece
        else:
            self.append(encode_query(piece))

    def __iter__(self) -> Iterator[QueryEmbedding]:
        yield from (self.piece(number) for number in range(len(self) or 1))

    def piece(self, number: int) -> QueryEmbedding:
        return self._only or decode_query(self.read(number))
