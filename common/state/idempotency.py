"""First answers to requests with an Idempotency-Key, for repeated requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from common.errors import ReusedKeyError
from common.slices import slices
from common.state.store import Store
from common.state.tables import IDEMPOTENT_ANSWERS
from common.state.text import dump, load, text_hash
from common.state.video_names import may_name, videos_named

KEPT_SECONDS = 86_400
# Rows that one transaction deletes.
_STEP = 500


@dataclass(frozen=True, slots=True)
class Once:
    """A request with an Idempotency-Key. key_id: the API key's id; empty without one. body: what the
    request asks for, as text."""

    key_id: str
    route: str
    key: str
    body: str


class AnswerStore(Store):
    """Answers to requests whose effect is not in the state database. Such an effect must be the same when
    it is repeated, as it is until its answer is stored."""

    def find(self, once: Once | None) -> dict[str, Any] | None:
        """The answer that was given before; None without one. Raises ReusedKeyError, StateError."""
        if once is None:
            return None
        with self._database.read() as connection:
            return _stored(connection, once, self._now())

    def add(self, once: Once | None, answer: dict[str, Any]) -> None:
        """Store the answer to a request. Raises ReusedKeyError, StateError."""
        if once is not None:
            with self._database.change(alone=True) as connection:
                answered_once(connection, once, lambda: answer, self._clock)

    def count_of(self, video_id: str) -> int:
        """Number of answers that name a video."""
        return len(self._of_video(video_id))

    def forget_video(self, video_id: str) -> None:
        """Delete the answers that name a deleted video. A request with the Idempotency-Key of one of them
        is a new request."""
        for names in slices(self._of_video(video_id), _STEP):
            with self._database.change() as connection:
                connection.execute(
                    delete(IDEMPOTENT_ANSWERS).where(IDEMPOTENT_ANSWERS.c.hash.in_(names))
                )

    def _of_video(self, video_id: str) -> list[str]:
        table = IDEMPOTENT_ANSWERS.c
        text = may_name(table.answer, video_id)
        with self._database.read() as connection:
            rows = connection.execute(select(table.hash, table.answer).where(text))
            return [row.hash for row in rows if video_id in videos_named(load(row.answer))]


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
    stored = _stored(connection, once, now)
    if stored is not None:
        return stored, True
    answer = make()
    name, body = _name(once), text_hash(once.body)
    connection.execute(
        insert(table).values(hash=name, request_hash=body, answer=dump(answer), created_at=now)
    )
    return answer, False


def _stored(connection: Connection, once: Once, now: int) -> dict[str, Any] | None:
    """The answer to a request that was given at most KEPT_SECONDS before `now`. Raises ReusedKeyError."""
    table = IDEMPOTENT_ANSWERS
    row = connection.execute(select(table).where(table.c.hash == _name(once))).first()
    if row is None or row.created_at < now - 1000 * KEPT_SECONDS:
        return None
    if row.request_hash != text_hash(once.body):
        raise ReusedKeyError(
            "the Idempotency-Key was sent with another request before; use a new one"
        )
    answer: dict[str, Any] = load(row.answer)
    return answer


def _name(once: Once) -> str:
    return text_hash("\0".join((once.key_id, once.route, once.key)))
