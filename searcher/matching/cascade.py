"""The cascade: a second pass only if the first does not decide."""

from __future__ import annotations

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.messaging.wire import decode_query, encode_query
from common.spool import Spool
from common.types import QueryEmbedding, TakeLook
from searcher.index.state import EVERYTHING, Filter
from searcher.matching.matcher import Matcher, MatchReport


def match_cascade(
    matcher: Matcher,
    look: TakeLook,
    *,
    only: Filter = EVERYTHING,
    thorough: bool = False,
    cancellation: Cancellation = NEVER_CANCELLED,
) -> MatchReport:
    """The report of the first pass if it finds a copy, else that of a second pass.

    thorough: always run the exhaustive pass, over more windows, so that further copies are found
    too. Raises what `look` and `Matcher.match` raise.
    """
    with _FirstPassPieces() as kept:
        answer = matcher.begin(only, cancellation)
        for piece in look("first"):
            answer.add(piece)
            kept.keep(piece)
        report = answer.report()
        if report.reason or (report.decision == "copy" and not thorough):
            return report
        answer = matcher.begin(only, cancellation)
        for number, piece in enumerate(look("thorough" if thorough else "closer")):
            answer.add(kept.piece(number), piece)
        return answer.report()


class _FirstPassPieces(Spool):
    """The pieces of the first pass: on disk, or in memory if there is only one."""

    _only: QueryEmbedding | None = None

    def keep(self, piece: QueryEmbedding) -> None:
        if piece.pieces == 1:
            self._only = piece
        else:
            self.append(encode_query(piece))

    def piece(self, number: int) -> QueryEmbedding:
        return self._only or decode_query(self.read(number))
