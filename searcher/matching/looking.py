"""How closely a query is looked at: once, and again where that does not decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from common.types import LookName, QueryEmbedding
from searcher.matching.matcher import Matcher, MatchReport
from searcher.state import EVERYTHING, Filter

# The query as a look of this name sees it. Raises VideoError and what embedding raises.
Look: TypeAlias = Callable[[LookName], QueryEmbedding]


def match_looking(
    matcher: Matcher, look: Look, *, only: Filter = EVERYTHING, thorough: bool = False
) -> MatchReport:
    """The answer to a query: after the first look where that finds a copy, else after a closer one.

    thorough: look closely in any case, and at more moments, so that whatever else the query holds
    beside a copy is found too. Raises what `look` and `Matcher.match` raise.
    """
    first = look("first")
    report = matcher.match(first, only)
    if report.reason or (report.decision == "copy" and not thorough):
        return report
    return matcher.match(first.joined(look("thorough" if thorough else "closer")), only)
