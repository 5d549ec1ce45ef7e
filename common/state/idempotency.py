"""First answers to requests with an Idempotency-Key, so that a request that is sent again does nothing
again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from common.errors import ReusedKeyError
from common.state.tables import IDEMPOTENT_ANSWERS
from common.state.text import dump, load, text_hash

KEPT_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Once:
    """A request with an Idempotency-Key. key_id: the API key's id; empty without one. body: what the
    request asks for, as text."""

    key_id: str
    route: str
    key: str
    body: str


def answered_once(
    connection: Connection,
    once: Once | None,
    make: Callable[[], dict[str, Any]],
    clock: Callable[[], float] = time.time,
) -> tuple[dict[str, Any], bool]:
    """The answer of `make`, or the one that it gave to the same request before; and whether it was given
    before. Answer and effect of `make` are in one transaction, which must be `alone`. Raises
    ReusedKeyError."""
    if once is None:
        return make(), False
    now = int(1000 * clock())
    table = IDEMPOTENT_ANSWERS
    connection.execute(delete(table).where(table.c.created_at < now - 1000 * KEPT_SECONDS))
    name = text_hash("\0".join((once.key_id, once.route, once.key)))
    body = text_hash(once.body)
    row = connection.execute(select(table).where(table.c.hash == name)).first()
    if row is not None:
        if row.request_hash != body:
            raise ReusedKeyError(
                "the Idempotency-Key was sent with another request before; use a new one"
            )
        return load(row.answer), True
    answer = make()
    connection.execute(
        insert(table).values(hash=name, request_hash=body, answer=dump(answer), created_at=now)
    )
    return answer, False
