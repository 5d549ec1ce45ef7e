"""How closely a query is looked at: once, and again where that does not decide."""

from __future__ import annotations

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.messaging.wire import decode_query, encode_query
from common.spool import Spool
from common.types import QueryEmbedding, TakeLook
from searcher.index.state import EVERYTHING, Filter
from searcher.matching.matcher import Matcher, MatchReport


def match_looking(
    matcher: Matcher,
    look: TakeLook,
    *,
    only: Filter = EVERYTHING,
    thorough: bool = False,
    cancellation: Cancellation = NEVER_CANCELLED,
) -> MatchReport:
    """The answer to a query: after the first look where that finds a copy anywhere, else after a closer
    one.

    thorough: look closely in any case, and at more moments, so that whatever else the query holds
    beside a copy is found too. Raises what `look` and `Matcher.match` raise.
    """
    with _Kept() as kept:
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


class _Kept(Spool):
    """The pieces of the first look: on disk, unless there is but one."""

    _only: QueryEmbedding | None = None

    def keep(self, piece: QueryEmbedding) -> None:
        if piece.pieces == 1:
            self._only = piece
        else:
            self.append(encode_query(piece))

    def piece(self, number: int) -> QueryEmbedding:
        return self._only or decode_query(self.read(number))
