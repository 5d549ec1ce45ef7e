"""The cascade: a second pass runs only if the first one does not decide."""

from __future__ import annotations

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.messaging.wire import decode_query, encode_query
from common.spool import Spool
from common.tracing import steps
from common.types import QueryEmbedding, TakePass
from searcher.index.state import EVERYTHING, Filter
from searcher.matching.matcher import Matcher, MatchReport


def match_cascade(
    matcher: Matcher,
    take_pass: TakePass,
    *,
    only: Filter = EVERYTHING,
    thorough: bool = False,
    cancellation: Cancellation = NEVER_CANCELLED,
) -> MatchReport:
    """The report of the first pass if it finds a copy, otherwise that of the second pass.

    thorough: run the exhaustive pass, over more windows, even if the first pass finds a copy, so that
    further copies are found. A query without information has only the first pass. Raises the errors of
    `take_pass` and `Matcher.match`.
    """
    with _FirstPassPieces() as kept:
        answer = matcher.begin(only, cancellation)
        for piece in steps("embed, first pass", take_pass("first")):
            answer.add(piece)
            kept.keep(piece)
        report = answer.report()
        if report.reason or (report.decision == "copy" and not thorough):
            return report
        answer = matcher.begin(only, cancellation)
        closer = take_pass("thorough" if thorough else "closer")
        for number, piece in enumerate(steps("embed, second pass", closer)):
            answer.add(kept.piece(number), piece)
        return answer.report()


class _FirstPassPieces(Spool):
    """The pieces of the first pass: in memory if there is only one, otherwise on disk."""

    _only: QueryEmbedding | None = None

    def keep(self, piece: QueryEmbedding) -> None:
        if piece.pieces == 1:
            self._only = piece
        else:
            self.append(encode_query(piece))

    def piece(self, number: int) -> QueryEmbedding:
        return self._only or decode_query(self.read(number))
