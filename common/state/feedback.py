"""Counts per bank how many decisions people judged right, and on how many they disagree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.sql.selectable import ScalarSelect, Select

from common.state.matches import visible_to
from common.state.store import Store
from common.state.tables import MATCHES, VERDICTS
from common.state.text import load

# A licensed copy is a copy.
RIGHT, WRONG = ("copy", "licensed"), "not_copy"
_STEP = 500


@dataclass(frozen=True, slots=True)
class JudgedMatch:
    """A match with the latest verdict on it. detail: JSON values."""

    is_copy: bool
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BankFeedback:
    """The matches of one bank by their latest verdict. right: judged a copy or licensed. wrong: judged no
    copy. by_reviewers, by_decision: matches on which people disagree, and whose decision contradicts the
    verdict."""

    bank: str
    matches: int
    right: int
    wrong: int
    unsure: int
    by_reviewers: int
    by_decision: int

    @property
    def precision(self) -> float | None:
        """Share of the judged matches that are copies; None if none is judged."""
        judged = self.right + self.wrong
        return self.right / judged if judged else None


class FeedbackStore(Store):
    """Reads verdicts in a state database. All methods raise StateError."""

    def per_bank(self, visible: frozenset[str] | None = None) -> list[BankFeedback]:
        """The feedback on each bank with a match. visible: the banks that the caller may
        see; None means all."""
        verdict, bank = MATCHES.c.verdict, MATCHES.c.bank
        columns = [
            func.count(),
            _count(verdict.in_(RIGHT)),
            _count(verdict == WRONG),
            _count(verdict == "unsure"),
            _count(by_reviewers()),
            _count(by_decision()),
        ]
        query = select(bank, *columns).where(*visible_to(visible)).group_by(bank)
        with self._database.read() as connection:
            return [BankFeedback(*row) for row in connection.execute(query).all()]

    def disputed(self, match_ids: Sequence[int]) -> frozenset[int]:
        """Those of these matches on which people disagree."""
        wanted = [MATCHES.c.id.in_(match_ids), by_reviewers()]
        with self._database.read() as connection:
            return frozenset(connection.execute(select(MATCHES.c.id).where(*wanted)).scalars())

    def judged(self, limit: int) -> Iterator[JudgedMatch]:
        """Matches with a verdict that says whether they are copies and on which people do not disagree,
        newest first."""
        before: int | None = None
        clear = and_(MATCHES.c.verdict.in_((*RIGHT, WRONG)), ~by_reviewers())
        while limit > 0:
            query = select(MATCHES).where(clear)
            if before is not None:
                query = query.where(MATCHES.c.id < before)
            with self._database.read() as connection:
                rows = connection.execute(
                    query.order_by(MATCHES.c.id.desc()).limit(min(limit, _STEP))
                ).all()
            for row in rows:
                yield JudgedMatch(row.verdict != WRONG, load(row.detail))
            if len(rows) < min(limit, _STEP):
                return
            limit -= len(rows)
            before = rows[-1].id


def contradicts(decision: str, verdict: str | None) -> bool:
    """Whether a match is decided a copy and judged no copy, or the reverse."""
    return (decision, verdict) == ("copy", WRONG) or (decision == "no_match" and verdict in RIGHT)


def by_decision() -> ColumnElement[bool]:
    """The condition of `contradicts`."""
    decision, verdict = MATCHES.c.decision, MATCHES.c.verdict
    return or_(
        and_(decision == "copy", verdict == WRONG), and_(decision == "no_match", verdict.in_(RIGHT))
    )


def by_reviewers() -> ColumnElement[bool]:
    """The condition that the latest verdicts of two people on a match contradict each other. Verdicts
    before the latest `none` do not count. People are distinguished by their keys."""
    return MATCHES.c.id.in_(_disputed())


def _disputed() -> Select[tuple[Any]]:
    each, kind = VERDICTS.alias("each_verdict"), VERDICTS.alias("latest_verdict")
    withdrawn: ScalarSelect[Any] = (
        select(func.coalesce(func.max(VERDICTS.c.id), 0))
        .where(VERDICTS.c.match_id == each.c.match_id, VERDICTS.c.verdict == "none")
        .scalar_subquery()
    )
    latest = (
        select(func.max(each.c.id))
        .where(each.c.id > withdrawn)
        .group_by(each.c.match_id, func.coalesce(each.c.key_id, ""))
    )
    return (
        select(kind.c.match_id)
        .where(kind.c.id.in_(latest))
        .group_by(kind.c.match_id)
        .having(and_(_count(kind.c.verdict.in_(RIGHT)) > 0, _count(kind.c.verdict == WRONG) > 0))
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))
