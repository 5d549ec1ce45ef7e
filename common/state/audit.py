"""The audit log: every requested change, with the caller and the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, insert, select

from common.state.database import StateDatabase
from common.state.keys import iso
from common.state.newest_first import newest_first
from common.state.store import Store, is_due
from common.state.tables import AUDIT_LOG
from common.state.text import plain

# Routes and ids are cut to this many characters.
_MAX_TEXT = 1024
_DELETE_EVERY_SECONDS = 3600.0
_DAY_MILLISECONDS = 86_400_000


@dataclass(frozen=True, slots=True)
class Change:
    """One change. action: for example `videos.delete`. object: the id of the changed object. status,
    code: those of the HTTP response; code is empty if it succeeded. key_id: None if no key was
    required."""

    action: str
    route: str
    object: str
    status: int
    code: str = ""
    key_id: str | None = None
    request_id: str = ""


class AuditLog(Store):
    """Entries are added and deleted after `keep_days`. No entry is ever changed."""

    def __init__(
        self, database: StateDatabase, keep_days: int, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(database, clock)
        self._keep_days = keep_days
        self._deleted_at = float("-inf")

    def record(self, change: Change) -> None:
        """Add an entry. It is on disk when this returns. Raises StateError."""
        now = self._clock()
        values = asdict(change)
        for name in ("route", "object"):
            values[name] = plain(values[name])[:_MAX_TEXT]
        with self._database.change() as connection:
            connection.execute(insert(AUDIT_LOG).values(at=int(1000 * now), **values))
            if is_due(self._deleted_at, now, _DELETE_EVERY_SECONDS):
                before = int(1000 * now) - self._keep_days * _DAY_MILLISECONDS
                connection.execute(delete(AUDIT_LOG).where(AUDIT_LOG.c.at < before))
                self._deleted_at = now

    def page(
        self, before: int | None = None, limit: int = 100
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Entries as JSON values, newest first, and the cursor of the next page (None at the end). Raises
        StateError."""
        with self._database.read() as connection:
            rows, following = newest_first(
                connection, select(AUDIT_LOG), AUDIT_LOG.c.id, (), before, limit
            )
        return [{**row._mapping, "at": iso(row.at)} for row in rows], following
