"""Quotas: queries, uploaded bytes and seconds of video that a key may use per day, and has used.

Seconds are counted after a video was decoded, because they are not known before. A key that has used all
of them gets no more until the next day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from common.errors import QuotaExceededError
from common.state.store import Store
from common.state.tables import API_KEYS, KEY_USE, VIDEO_PAYERS
from common.state.text import text_hash

DAY_SECONDS = 86_400
MAX_QUOTA = 1 << 53
# A video that waits longer than this to be indexed costs nothing.
_PAYER_SECONDS = 7 * DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits per day (UTC); None or 0 means no limit."""

    queries_per_day: int | None = None
    upload_bytes_per_day: int | None = None
    video_seconds_per_day: int | None = None

    def __bool__(self) -> bool:
        return bool(self.queries_per_day or self.upload_bytes_per_day or self.video_seconds_per_day)


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class Use:
    """Queries, uploaded bytes, and seconds of video that were decoded."""

    queries: int = 0
    upload_bytes: int = 0
    video_seconds: int = 0

    def exceeded(self, quota: Quota) -> str:
        """The limit that is exceeded: `queries` or `upload_bytes`; empty if none is."""
        if quota.queries_per_day and self.queries > quota.queries_per_day:
            return "queries"
        if quota.upload_bytes_per_day and self.upload_bytes > quota.upload_bytes_per_day:
            return "upload_bytes"
        return ""

    def used_up(self, quota: Quota) -> bool:
        """Whether no second of video is left."""
        limit = quota.video_seconds_per_day
        return bool(limit) and self.video_seconds >= (limit or 0)

    def plus(self, other: Use, sign: int = 1) -> Use:
        """The sum; sign -1: the difference, which is never below 0."""
        return Use(
            max(0, self.queries + sign * other.queries),
            max(0, self.upload_bytes + sign * other.upload_bytes),
            max(0, self.video_seconds + sign * other.video_seconds),
        )


@dataclass(frozen=True, slots=True)
class Spent:
    """What a key has used today. exceeded: the limit for which nothing was added; empty if it was.
    day: days since 1970."""

    use: Use
    exceeded: str
    day: int


class QuotaStore(Store):
    """What keys with a quota use, in a state database. All processes with the same database count
    together. All methods raise StateError."""

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
                left = use_in(row).plus(cost, -1)
                _write(connection, key_id, day, left)

    def count_seconds(self, key_id: str, seconds: float) -> None:
        """Add seconds of video that were decoded for a key, if it has a quota of them."""
        with self._database.change(alone=True) as connection:
            add_seconds(connection, key_id, seconds, self.today())

    def check_seconds(self, key_id: str) -> None:
        """Raises QuotaExceededError if a key has used all its seconds of today."""
        with self._database.read() as connection:
            limit = _seconds_limit(connection, key_id)
            row = connection.execute(select(KEY_USE).where(KEY_USE.c.key_id == key_id)).first()
        used = row.video_seconds if row is not None and row.day == self.today() else 0
        if limit and used >= limit:
            raise QuotaExceededError(
                f"the key may use {limit} seconds of video per day (UTC); the next day begins in "
                f"{self.seconds_left()} s, or ask for a larger quota"
            )

    def note_payer(self, video_id: str, key_id: str | None) -> str | None:
        """Note which key pays for a video when it is decoded; returns the one that would have paid. None
        means nobody."""
        now = self._now()
        with self._database.change(alone=True) as connection:
            former = _take_payer(connection, video_id)
            table = VIDEO_PAYERS
            connection.execute(
                delete(table).where(table.c.created_at < now - 1000 * _PAYER_SECONDS)
            )
            if key_id is not None:
                values = {"video_hash": text_hash(video_id), "key_id": key_id, "created_at": now}
                connection.execute(insert(table).values(values))
        return former

    def forget_payer(self, video_id: str) -> None:
        """A video is not decoded after all."""
        with self._database.change() as connection:
            _take_payer(connection, video_id)

    def charge_video(self, video_id: str, seconds: float) -> None:
        """Count a video of the catalogue, once, for the key that posted it, if one has."""
        with self._database.change(alone=True) as connection:
            key_id = _take_payer(connection, video_id)
            if key_id is not None:
                add_seconds(connection, key_id, seconds, self.today())

    def today(self) -> int:
        """Days since 1970, UTC."""
        return day_of(self._clock())

    def seconds_left(self) -> int:
        """Seconds until the next day begins, at least 1."""
        return DAY_SECONDS - int(self._clock()) % DAY_SECONDS


def add_seconds(connection: Connection, key_id: str, seconds: float, day: int) -> None:
    """Add seconds of video to the use of a key, if it has a quota of them. The transaction must be
    `alone`."""
    if _seconds_limit(connection, key_id):
        used = _used(connection, key_id, day)
        _write(connection, key_id, day, used.plus(Use(video_seconds=math.ceil(seconds))))


def day_of(unix_seconds: float) -> int:
    """Days since 1970, UTC."""
    return int(unix_seconds) // DAY_SECONDS


def use_to_json(use: Use, day: int) -> dict[str, Any]:
    """What was used on a day, and when the next one begins."""
    ends = datetime.fromtimestamp((day + 1) * DAY_SECONDS, UTC)
    return {
        "queries": use.queries,
        "upload_bytes": use.upload_bytes,
        "video_seconds": use.video_seconds,
        "resets_at": ends.isoformat(timespec="seconds"),
    }


def _used(connection: Connection, key_id: str, day: int) -> Use:
    row = connection.execute(select(KEY_USE).where(KEY_USE.c.key_id == key_id)).first()
    if row is None:
        connection.execute(
            insert(KEY_USE).values(
                key_id=key_id, day=day, queries=0, upload_bytes=0, video_seconds=0
            )
        )
        return Use()
    return use_in(row) if row.day == day else Use()


def use_in(row: Row[Any]) -> Use:
    """What a row of KEY_USE says."""
    return Use(row.queries, row.upload_bytes, row.video_seconds)


def _seconds_limit(connection: Connection, key_id: str) -> int:
    """The seconds of video per day of a key; 0 means no limit."""
    column = API_KEYS.c.video_seconds_per_day
    return int(connection.scalar(select(column).where(API_KEYS.c.id == key_id)) or 0)


def _take_payer(connection: Connection, video_id: str) -> str | None:
    """Forget who pays for a video; returns the key's id, None if there is none."""
    this = VIDEO_PAYERS.c.video_hash == text_hash(video_id)
    key_id = connection.scalar(select(VIDEO_PAYERS.c.key_id).where(this))
    if key_id is not None:
        connection.execute(delete(VIDEO_PAYERS).where(this))
    return key_id


def _write(connection: Connection, key_id: str, day: int, use: Use) -> None:
    values = {
        "day": day,
        "queries": use.queries,
        "upload_bytes": use.upload_bytes,
        "video_seconds": use.video_seconds,
    }
    connection.execute(update(KEY_USE).where(KEY_USE.c.key_id == key_id).values(values))
