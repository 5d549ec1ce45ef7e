"""Verdicts of people on matches. No verdict is ever changed; a later one counts instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from common.errors import UsageError
from common.state.events import verdict_given
from common.state.idempotency import Once, answered_once
from common.state.keys import iso
from common.state.matches import visible_to
from common.state.newest_first import count, page_of
from common.state.outbox import enqueue
from common.state.store import Store
from common.state.tables import MATCHES, VERDICTS
from common.state.text import load, plain

MAX_VERDICTS = 1000
# Withdraws the verdicts before.
NONE = "none"


@dataclass(frozen=True, slots=True)
class NewVerdict:
    """author, key_id: the name and id of the key; None if none was required."""

    verdict: str
    reason: str
    note: str
    author: str | None
    key_id: str | None


class VerdictStore(Store):
    """The verdicts in a state database. All methods raise StateError."""

    def add(
        self,
        match_id: int,
        new: NewVerdict,
        visible: frozenset[str] | None,
        once: Once | None = None,
    ) -> tuple[dict[str, Any], bool] | None:
        """Add a verdict on a match, with its event. Returns it as JSON values, and whether an
        earlier request with the same Idempotency-Key added it; None if the match is unknown or not
        visible. Raises UsageError if the match has too many verdicts, ReusedKeyError."""
        with self._database.change(alone=True) as connection:
            seen = select(MATCHES).where(MATCHES.c.id == match_id, *visible_to(visible))
            match = connection.execute(seen).first()
            if match is None:
                return None

            def make() -> dict[str, Any]:
                total = count(connection, VERDICTS.c.id, [VERDICTS.c.match_id == match_id])
                if total >= MAX_VERDICTS:
                    raise UsageError(f"the match has {total} verdicts, which is the maximum")
                now = self._now()
                values = {
                    "match_id": match_id,
                    "verdict": new.verdict,
                    "reason": plain(new.reason),
                    "note": plain(new.note),
                    "author": new.author,
                    "key_id": new.key_id,
                    "created_at": now,
                }
                added = connection.execute(
                    insert(VERDICTS).values(values).returning(VERDICTS.c.id)
                ).scalar_one()
                latest = None if new.verdict == NONE else new.verdict
                connection.execute(
                    update(MATCHES).where(MATCHES.c.id == match_id).values(verdict=latest)
                )
                row = select(VERDICTS).where(VERDICTS.c.id == added)
                verdict_json = to_json(connection.execute(row).one())
                of_match = (match_id, match.bank, match.query_bank, load(match.detail))
                enqueue(connection, [verdict_given(*of_match, verdict_json)], now)
                return verdict_json

            return answered_once(connection, once, make, self._clock)

    def page(
        self, match_id: int, before: int | None, limit: int
    ) -> tuple[list[dict[str, Any]], int | None, int]:
        """The verdicts on a match as JSON values, newest first, the cursor of the next page (None at the
        end), and their number."""
        of_match = [VERDICTS.c.match_id == match_id]
        return page_of(self._database, VERDICTS.c.id, of_match, before, limit, to_json)

    def latest(self, match_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """The latest verdict on each of these matches, as JSON values. Matches without one, and those
        whose verdict was withdrawn, are left out."""
        newest = (
            select(func.max(VERDICTS.c.id))
            .where(VERDICTS.c.match_id.in_(match_ids))
            .group_by(VERDICTS.c.match_id)
        )
        with self._database.read() as connection:
            rows = connection.execute(select(VERDICTS).where(VERDICTS.c.id.in_(newest))).all()
        return {row.match_id: to_json(row) for row in rows if row.verdict != NONE}


def to_json(row: Row[Any]) -> dict[str, Any]:
    """A row as JSON values."""
    # The names in a row are no plain text, which the JSON encoder needs.
    values = {str(name): value for name, value in row._mapping.items()}
    return {**values, "created_at": iso(row.created_at)}
