"""Quotas: how many queries and uploaded bytes a key may use per day, and how many it has used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from common.state.database import StateDatabase
from common.state.tables import KEY_USE

DAY_SECONDS = 86_400
MAX_QUOTA = 1 << 53


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits per day (UTC); None or 0 means no limit."""

    queries_per_day: int | None = None
    upload_bytes_per_day: int | None = None

    def __bool__(self) -> bool:
        return bool(self.queries_per_day or self.upload_bytes_per_day)


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class Use:
    """Queries and uploaded bytes."""

    queries: int = 0
    upload_bytes: int = 0

    def exceeded(self, quota: Quota) -> str:
        """The limit that is exceeded: `queries` or `upload_bytes`; empty if none is."""
        if quota.queries_per_day and self.queries > quota.queries_per_day:
            return "queries"
        if quota.upload_bytes_per_day and self.upload_bytes > quota.upload_bytes_per_day:
            return "upload_bytes"
        return ""

    def plus(self, other: Use, sign: int = 1) -> Use:
        """The sum; sign -1: the difference, which is never below 0."""
        return Use(
            max(0, self.queries + sign * other.queries),
            max(0, self.upload_bytes + sign * other.upload_bytes),
        )


@dataclass(frozen=True, slots=True)
class Spent:
    """What a key has used today. exceeded: the limit for which nothing was added; empty if it was.
    day: days since 1970."""

    use: Use
    exceeded: str
    day: int


class QuotaStore:
    """What keys with a quota use, in a state database. All processes with the same database count
    together. All methods raise StateError."""

    def __init__(self, database: StateDatabase, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def spend(self, key_id: str, quota: Quota, cost: Use) -> Spent:
        """Add a cost to today's use, unless it would exceed the quota."""
        day = self.today()
        with self._database.change(alone=True) as connection:
            used = _used(connection, key_id, day)
            wanted = used.plus(cost)
            exceeded = wanted.exceeded(quota)
            if exceeded:
                return Spent(used, exceeded, day)
            _write(connection, key_id, day, wanted)
        return Spent(wanted, "", day)

    def give_back(self, key_id: str, day: int, cost: Use) -> None:
        """Take back a cost of this day."""
        with self._database.change(alone=True) as connection:
            row = connection.execute(select(KEY_USE).where(KEY_USE.c.key_id == key_id)).first()
            # What was spent on an earlier day is forgotten already.
            if row is not None and row.day == day:
                left = Use(row.queries, row.upload_bytes).plus(cost, -1)
                _write(connection, key_id, day, left)

    def today(self) -> int:
        """Days since 1970, UTC."""
        return int(self._clock()) // DAY_SECONDS

    def seconds_left(self) -> int:
        """Seconds until the next day begins, at least 1."""
        return DAY_SECONDS - int(self._clock()) % DAY_SECONDS


def use_to_json(use: Use, day: int) -> dict[str, Any]:
    """What was used on a day, and when the next one begins."""
    ends = datetime.fromtimestamp((day + 1) * DAY_SECONDS, UTC)
    return {
        "queries": use.queries,
        "upload_bytes": use.upload_bytes,
        "resets_at": ends.isoformat(timespec="seconds"),
    }


def _used(connection: Connection, key_id: str, day: int) -> Use:
    row = connection.execute(select(KEY_USE).where(KEY_USE.c.key_id == key_id)).first()
    if row is None:
        connection.execute(
            insert(KEY_USE).values(key_id=key_id, day=day, queries=0, upload_bytes=0)
        )
        return Use()
    return Use(row.queries, row.upload_bytes) if row.day == day else Use()


def _write(connection: Connection, key_id: str, day: int, use: Use) -> None:
    values = {"day": day, "queries": use.queries, "upload_bytes": use.upload_bytes}
    connection.execute(update(KEY_USE).where(KEY_USE.c.key_id == key_id).values(values))
