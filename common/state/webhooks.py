"""Webhooks: addresses that events are sent to. A secret is shown once and kept to sign the events."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from common.bank_names import check_bank_name
from common.errors import UsageError
from common.state.events import Event
from common.state.idempotency import Once, answered_once
from common.state.keys import MAX_BANKS, iso
from common.state.newest_first import count, page_of
from common.state.outbox import EVENT_TYPES, enqueue
from common.state.store import Store
from common.state.tables import WEBHOOK_DELIVERIES, WEBHOOKS
from common.state.text import plain
from common.webhook_signature import SECRET_PREFIX

MAX_WEBHOOKS, MAX_URL, MAX_DESCRIPTION = 50, 2000, 200
_ID_BYTES, _SECRET_BYTES = 8, 32


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """events: types; None means all. banks: None means all banks. key_id: of the caller. Raises
    UsageError for unknown types and invalid banks."""

    url: str
    events: Sequence[str] | None = None
    banks: Sequence[str] | None = None
    description: str = ""
    key_id: str | None = None

    def __post_init__(self) -> None:
        if len(self.url) > MAX_URL:
            raise UsageError(f"url: expected at most {MAX_URL} characters")
        if len(self.description) > MAX_DESCRIPTION:
            raise UsageError(f"description: expected at most {MAX_DESCRIPTION} characters")
        unknown = sorted(set(self.events or ()) - set(EVENT_TYPES))
        if unknown or (self.events is not None and not self.events):
            raise UsageError(
                f"events: expected some of {', '.join(EVENT_TYPES)}; leave it out for all events"
            )
        if self.banks is None:
            return
        if not 1 <= len(self.banks) <= MAX_BANKS:
            raise UsageError(f"banks: expected 1 to {MAX_BANKS} names; leave it out for all banks")
        for bank in self.banks:
            check_bank_name(bank)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook without its secret. created_at: milliseconds since 1970."""

    id: str
    url: str
    events: tuple[str, ...] | None
    banks: tuple[str, ...] | None
    description: str
    key_id: str | None
    created_at: int

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "url": self.url,
            "events": None if self.events is None else list(self.events),
            "banks": None if self.banks is None else list(self.banks),
            "description": self.description,
            "key_id": self.key_id,
            "created_at": iso(self.created_at),
        }


class WebhookStore(Store):
    """The webhooks in a state database. All methods raise StateError."""

    def create(self, new: NewWebhook) -> tuple[Webhook, str]:
        """Create a webhook. Returns it and its secret, which is shown only now. Raises UsageError if
        there are too many."""
        with self._database.change(alone=True) as connection:
            return self._create(connection, new)

    def create_once(self, new: NewWebhook, once: Once | None) -> tuple[dict[str, Any], bool]:
        """As `create`. Returns the JSON of the webhook with its secret, and whether an earlier request
        with the same Idempotency-Key created it. Raises ReusedKeyError too."""

        def make() -> dict[str, Any]:
            webhook, secret = self._create(connection, new)
            return {**webhook.to_json(), "secret": secret}

        with self._database.change(alone=True) as connection:
            return answered_once(connection, once, make, self._clock)

    def _create(self, connection: Connection, new: NewWebhook) -> tuple[Webhook, str]:
        webhook_id = secrets.token_hex(_ID_BYTES)
        secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        values = {
            "id": webhook_id,
            "url": plain(new.url),
            "events": None if new.events is None else json.dumps(sorted(set(new.events))),
            "banks": None if new.banks is None else json.dumps(sorted(set(new.banks))),
            "description": plain(new.description),
            "secret": secret,
            "key_id": new.key_id,
            "created_at": self._now(),
        }
        total = count(connection, WEBHOOKS.c.number, ())
        if total >= MAX_WEBHOOKS:
            raise UsageError(f"there are {total} webhooks, which is the maximum; delete some")
        connection.execute(insert(WEBHOOKS).values(values))
        row = connection.execute(select(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id)).one()
        return _webhook(row), secret

    def get(self, webhook_id: str) -> Webhook | None:
        """A webhook; None if it is unknown."""
        query = select(WEBHOOKS).where(WEBHOOKS.c.id == plain(webhook_id))
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _webhook(row)

    def page(
        self, before: int | None = None, limit: int = 100
    ) -> tuple[list[Webhook], int | None, int]:
        """Webhooks, newest first, the cursor of the next page (None at the end), and their number."""
        return page_of(self._database, WEBHOOKS.c.number, (), before, limit, _webhook)

    def delete(self, webhook_id: str) -> bool:
        """Delete a webhook and its deliveries; False if it is unknown."""
        webhook_id = plain(webhook_id)
        with self._database.change(alone=True) as connection:
            gone = connection.execute(delete(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id))
            of_webhook = WEBHOOK_DELIVERIES.c.webhook_id == webhook_id
            connection.execute(delete(WEBHOOK_DELIVERIES).where(of_webhook))
        return gone.rowcount > 0

    def enqueue(self, *events: Event) -> None:
        """Queue events of changes outside of the state database."""
        with self._database.change(alone=True) as connection:
            enqueue(connection, events, self._now())


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        *(row.id, row.url),
        None if row.events is None else tuple(json.loads(row.events)),
        None if row.banks is None else tuple(json.loads(row.banks)),
        *(row.description, row.key_id, row.created_at),
    )
