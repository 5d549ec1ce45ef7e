"""Deliveries: events on their way to webhooks, those that arrived, and dead letters."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, delete, func, or_, select, update

from common.settings import WebhookSettings
from common.slices import slices
from common.state.database import StateDatabase
from common.state.keys import iso
from common.state.newest_first import count, page_of
from common.state.outbox import DEAD, DELIVERED, PENDING
from common.state.store import Store
from common.state.tables import WEBHOOK_DELIVERIES, WEBHOOKS
from common.state.text import load, plain
from common.state.video_names import may_name, videos_named

# Deliveries that have ended, of all webhooks; the oldest are deleted first, dead letters last.
MAX_ENDED = 20_000
_STEP = 500
_MAX_PAUSE_SECONDS = 3600.0
_MAX_ERROR = 300
_HOUR_MILLISECONDS, _DAY_MILLISECONDS = 3_600_000, 86_400_000
_TABLE = WEBHOOK_DELIVERIES.c


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row. Times: milliseconds since 1970. status: of the last answer; None without one."""

    id: int
    webhook_id: str
    event_id: str
    type: str
    body: str
    state: str
    attempts: int
    next_at: int
    created_at: int
    ended_at: int | None
    status: int | None
    error: str

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "webhook_id": self.webhook_id,
            "event_id": self.event_id,
            "type": self.type,
            "state": self.state,
            "attempts": self.attempts,
            "next_attempt_at": iso(self.next_at) if self.state == PENDING else None,
            "created_at": iso(self.created_at),
            "ended_at": iso(self.ended_at),
            "status": self.status,
            "error": self.error,
            "event": load(self.body),
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """A delivery that this process tries now. number: of the attempt, from 1."""

    delivery_id: int
    webhook_id: str
    event_id: str
    body: str
    number: int
    url: str
    secret: str


class DeliveryStore(Store):
    """The deliveries in a state database. All methods raise StateError."""

    def __init__(
        self,
        database: StateDatabase,
        settings: WebhookSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(database, clock)
        self._settings = settings

    def take(self, busy: Collection[str], limit: int, lease_seconds: float) -> list[Attempt]:
        """Begin deliveries that are due: the oldest of each webhook, but none of `busy` webhooks.

        No other process gets them for `lease_seconds`. After a crash they are due again then.
        """
        now = self._now()
        # No pause is so long: the clock was set back since.
        never = now + int(1000 * (2 * _MAX_PAUSE_SECONDS + lease_seconds))
        due = [
            _TABLE.state == PENDING,
            or_(_TABLE.next_at <= now, _TABLE.next_at > never),
            _TABLE.webhook_id.not_in(list(busy)),
        ]
        with self._database.read() as connection:
            if connection.execute(select(_TABLE.id).where(*due).limit(1)).first() is None:
                return []
        with self._database.change(alone=True) as connection:
            oldest = select(func.min(_TABLE.id)).where(*due).group_by(_TABLE.webhook_id)
            ids = list(connection.execute(oldest.limit(limit)).scalars())
            if not ids:
                return []
            begun = {
                "attempts": _TABLE.attempts + 1,
                "next_at": self._now() + int(1000 * lease_seconds),
            }
            these = _TABLE.id.in_(ids)
            connection.execute(update(WEBHOOK_DELIVERIES).where(these).values(begun))
            rows = connection.execute(
                select(WEBHOOK_DELIVERIES, WEBHOOKS.c.url, WEBHOOKS.c.secret)
                .join(WEBHOOKS, WEBHOOKS.c.id == _TABLE.webhook_id)
                .where(these)
                .order_by(_TABLE.id)
            ).all()
        return [
            Attempt(
                row.id, row.webhook_id, row.event_id, row.body, row.attempts, row.url, row.secret
            )
            for row in rows
        ]

    def delivered(self, attempt: Attempt, status: int) -> None:
        """The receiver accepted it."""
        ended = {"state": DELIVERED, "ended_at": self._now(), "status": status, "error": ""}
        self._set(attempt, ended)

    def failed(self, attempt: Attempt, status: int | None, error: str) -> bool:
        """Queue it again after a pause; returns False if it is a dead letter now, after its last
        attempt."""
        last = attempt.number >= self._settings.max_attempts
        values: dict[str, Any] = {"status": status, "error": plain(error)[:_MAX_ERROR]}
        if last:
            values |= {"state": DEAD, "ended_at": self._now()}
        else:
            values["next_at"] = self._now() + int(1000 * self.pause_seconds(attempt.number))
        self._set(attempt, values)
        return not last

    def give_back(self, attempt: Attempt) -> None:
        """Make an attempt due again at once, because the service stopped before its end."""
        self._set(attempt, {"attempts": attempt.number - 1, "next_at": self._now()})

    def pause_seconds(self, attempts: int) -> float:
        """The pause after this many failed attempts: it doubles, and differs by a fifth, so that the
        retries of many events do not come together."""
        pause = self._settings.first_retry_seconds * 2.0 ** min(attempts - 1, 30)
        return float(min(_MAX_PAUSE_SECONDS, pause) * random.uniform(0.8, 1.2))

    def redeliver(self, webhook_id: str, delivery_id: int) -> Delivery | None:
        """Queue a delivery again, as if it was new; None if it is unknown."""
        one = _one(webhook_id, delivery_id)
        now = self._now()
        again = {"state": PENDING, "attempts": 0, "next_at": now, "queued_at": now}
        with self._database.change(alone=True) as connection:
            connection.execute(
                update(WEBHOOK_DELIVERIES).where(*one).values(**again, ended_at=None)
            )
            row = connection.execute(select(WEBHOOK_DELIVERIES).where(*one)).first()
        return None if row is None else _delivery(row)

    def get(self, webhook_id: str, delivery_id: int) -> Delivery | None:
        """A delivery; None if it is unknown."""
        query = select(WEBHOOK_DELIVERIES).where(*_one(webhook_id, delivery_id))
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _delivery(row)

    def page(
        self, webhook_id: str, state: str | None, before: int | None, limit: int
    ) -> tuple[list[Delivery], int | None, int]:
        """Deliveries of a webhook, newest first, the cursor of the next page (None at the end), and their
        number. state: None means any."""
        conditions = [_TABLE.webhook_id == plain(webhook_id)]
        if state is not None:
            conditions.append(_TABLE.state == state)
        return page_of(self._database, _TABLE.id, conditions, before, limit, _delivery)

    def pending_by_age(self, ages_seconds: Sequence[float]) -> list[int]:
        """The number of pending deliveries younger than each of these ages but not than the one before,
        and of those older than all."""
        now, found = self._now(), []
        with self._database.read() as connection:
            for age in ages_seconds:
                younger = _TABLE.queued_at > now - int(1000 * age)
                found.append(count(connection, _TABLE.id, [_TABLE.state == PENDING, younger]))
            found.append(count(connection, _TABLE.id, [_TABLE.state == PENDING]))
        return [more - less for less, more in zip([0, *found], found, strict=False)]

    def count_of(self, video_id: str) -> int:
        """Number of deliveries that name a video, besides those that tell of its deletion."""
        return len(self._of_video(video_id))

    def forget_video(self, video_id: str) -> None:
        """Delete the deliveries that name a deleted video, also those that wait, besides those that tell
        of its deletion."""
        for ids in slices(self._of_video(video_id), _STEP):
            with self._database.change() as connection:
                _delete(connection, ids)

    def _of_video(self, video_id: str) -> list[int]:
        text = (may_name(_TABLE.body, video_id), _TABLE.type != "video.deleted")
        with self._database.read() as connection:
            rows = connection.execute(select(_TABLE.id, _TABLE.body).where(*text))
            return [row.id for row in rows if video_id in videos_named(load(row.body))]

    def trim(self) -> int:
        """Make dead letters of what is pending too long, and delete what ended too long ago or is too
        much. Returns the number of new dead letters."""
        settings, now = self._settings, self._now()
        too_old = f"not delivered within {settings.max_age_hours:g} hours"
        before = now - int(_HOUR_MILLISECONDS * settings.max_age_hours)
        expired = (_TABLE.state == PENDING, _TABLE.queued_at < before)
        with self._database.change() as connection:
            dead = connection.execute(
                update(WEBHOOK_DELIVERIES)
                .where(*expired)
                .values(state=DEAD, ended_at=now, error=too_old)
            ).rowcount
            # Events that had no room were dead letters from the beginning.
            dead += connection.execute(
                update(WEBHOOK_DELIVERIES)
                .where(_TABLE.state == DEAD, _TABLE.ended_at.is_(None))
                .values(ended_at=now)
            ).rowcount
            old = _TABLE.ended_at < now - settings.keep_days * _DAY_MILLISECONDS
            connection.execute(delete(WEBHOOK_DELIVERIES).where(_TABLE.state != PENDING, old))
        while self._delete_excess():
            pass
        return dead

    def _delete_excess(self) -> int:
        ended = _TABLE.state != PENDING
        with self._database.change() as connection:
            excess = min(_STEP, count(connection, _TABLE.id, [ended]) - MAX_ENDED)
            if excess <= 0:
                return 0
            order = (_TABLE.state == DEAD, _TABLE.id)
            oldest = select(_TABLE.id).where(ended).order_by(*order).limit(excess)
            return _delete(connection, list(connection.execute(oldest).scalars()))

    def _set(self, attempt: Attempt, values: dict[str, Any]) -> None:
        # Only if it is this attempt: the event may have been redelivered meanwhile.
        this = (_TABLE.id == attempt.delivery_id, _TABLE.attempts == attempt.number)
        with self._database.change() as connection:
            connection.execute(update(WEBHOOK_DELIVERIES).where(*this).values(values))


def _delete(connection: Connection, ids: Sequence[int]) -> int:
    connection.execute(delete(WEBHOOK_DELIVERIES).where(_TABLE.id.in_(ids)))
    return len(ids)


def _one(webhook_id: str, delivery_id: int) -> tuple[Any, Any]:
    return _TABLE.id == delivery_id, _TABLE.webhook_id == plain(webhook_id)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**{field.name: getattr(row, field.name) for field in fields(Delivery)})
