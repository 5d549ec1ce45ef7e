"""Events for webhooks, stored in the transaction of the change that they report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from common.state.events import Event
from common.state.keys import iso
from common.state.newest_first import count
from common.state.tables import WEBHOOK_DELIVERIES, WEBHOOKS
from common.state.text import dump

EVENT_TYPES = ("match.found", "verdict.given", "job.finished", "video.indexed", "video.deleted")
PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"
# Maximum number of undelivered events of one webhook. Further ones become dead letters at once.
MAX_PENDING = 10_000
_FULL = f"{MAX_PENDING} events of this webhook were undelivered; redeliver it when there are fewer"


def enqueue(connection: Connection, events: Sequence[Event], now: int) -> None:
    """Queue events for all webhooks that want them, in this transaction. now: milliseconds since
    1970."""
    if not events:
        return
    for webhook in connection.execute(select(WEBHOOKS)).all():
        types = None if webhook.events is None else json.loads(webhook.events)
        banks = None if webhook.banks is None else frozenset(json.loads(webhook.banks))
        wanted = [
            event
            for event in events
            if (types is None or event.type in types)
            and (banks is None or (event.banks is not None and event.banks <= banks))
        ]
        if not wanted:
            continue
        table = WEBHOOK_DELIVERIES.c
        waiting = [table.webhook_id == webhook.id, table.state == PENDING]
        room = MAX_PENDING - count(connection, table.id, waiting)
        rows = [
            _row(webhook.id, event, now, has_room=number < room)
            for number, event in enumerate(wanted)
        ]
        connection.execute(insert(WEBHOOK_DELIVERIES), rows)


def _row(webhook_id: str, event: Event, now: int, *, has_room: bool) -> dict[str, Any]:
    body = {"id": event.id, "type": event.type, "timestamp": iso(now), "data": event.data}
    return {
        "webhook_id": webhook_id,
        "event_id": event.id,
        "type": event.type,
        "body": dump(body),
        "state": PENDING if has_room else DEAD,
        "attempts": 0,
        "next_at": now,
        "queued_at": now,
        "created_at": now,
        # A dead letter gets its end when a deliverer counts it.
        "ended_at": None,
        "error": "" if has_room else _FULL,
    }
