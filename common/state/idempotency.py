"""First answers to requests with an Idempotency-Key, for repeated requests."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from common.errors import ReusedKeyError
from common.slices import slices
from common.state.store import Store
from common.state.tables import IDEMPOTENT_ANSWERS, MATCHES
from common.state.text import dump, load, text_hash
from common.state.video_names import may_name, videos_named

KEPT_SECONDS, KEPT_ANSWERS = 86_400, 20_000
# Rows that one transaction deletes.
_STEP = 500
# The field of a verdict that says on which match it is.
_MATCH = "match_id"


@dataclass(frozen=True, slots=True)
class Once:
    """A request with an Idempotency-Key. key_id: the API key's id; empty without one. body: what the
    request asks for, as text."""

    key_id: str
    route: str
    key: str
    body: str


class AnswerStore(Store):
    """Answers to requests whose effect is not in one transaction of the state database. Such an effect
    must be the same when it is repeated, as it is until its answer is stored."""

    @contextmanager
    def claimed(self, once: Once | None) -> Iterator[dict[str, Any] | None]:
        """The answer that was given before; None without one. From the beginning of the block, another
        request with the same key is refused. If the block fails, the key may be used again. Raises
        ReusedKeyError, StateError."""
        if once is None:
            yield None
            return
        known, claim = self._claim(once)
        try:
            yield known
        except BaseException:
            if known is None:
                self._release(once, claim)
            raise

    def add(self, once: Once | None, answer: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Store the answer to a request whose key is claimed. Returns it, or the one that an equal
        request got meanwhile; and whether it was given before. Raises StateError."""
        if once is None:
            return answer, False
        with self._database.change(alone=True) as connection:
            return answered_once(connection, once, lambda: answer, self._clock)

    def _claim(self, once: Once) -> tuple[dict[str, Any] | None, str]:
        """The answer that was given before; without one, the claim that is stored in its place. It
        replaces the claim of an equal request, which may have crashed."""
        claim, now = dump(secrets.token_hex(16)), self._now()
        with self._database.change(alone=True) as connection:
            _forget_old(connection, now)
            known = _stored(connection, once)
            if known is None:
                _put(connection, once, claim, now)
        return known, claim

    def _release(self, once: Once, claim: str) -> None:
        table = IDEMPOTENT_ANSWERS
        this = (table.c.hash == _name(once), table.c.answer == claim)
        with self._database.change() as connection:
            connection.execute(delete(table).where(*this))

    def count_of(self, video_id: str) -> int:
        """Number of answers that name a video."""
        return len(self._of_video(video_id))

    def forget_video(self, video_id: str) -> None:
        """Delete the answers that name a deleted video, and those with a verdict on a deleted match. A
        request with the Idempotency-Key of one of them is a new request."""
        for names in slices([*self._of_video(video_id), *self._of_deleted_matches()], _STEP):
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

    def _of_deleted_matches(self) -> list[str]:
        """Answers with a verdict on a match that is no longer there. A verdict names no video, but what a
        person wrote in it may."""
        table = IDEMPOTENT_ANSWERS.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(table.hash, table.answer).where(table.answer.contains(dump(_MATCH)))
            )
            of_match = {row.hash: _match_of(load(row.answer)) for row in rows}
            there: set[int] = set()
            for ids in slices(sorted({one for one in of_match.values() if one is not None}), _STEP):
                there.update(
                    connection.execute(select(MATCHES.c.id).where(MATCHES.c.id.in_(ids))).scalars()
                )
        return [name for name, one in of_match.items() if one is not None and one not in there]


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
    _forget_old(connection, now)
    stored = _stored(connection, once)
    if stored is not None:
        return stored, True
    answer = make()
    _put(connection, once, dump(answer), now)
    return answer, False


def _forget_old(connection: Connection, now: int) -> None:
    """Delete the answers that are too old or too many."""
    table, made = IDEMPOTENT_ANSWERS, IDEMPOTENT_ANSWERS.c.created_at
    newest = select(made).order_by(made.desc())
    # Room for the one that is stored next.
    last = connection.execute(newest.offset(KEPT_ANSWERS - 1).limit(1)).scalar_one_or_none()
    old = made < now - 1000 * KEPT_SECONDS
    connection.execute(delete(table).where(old if last is None else old | (made <= last)))


def _stored(connection: Connection, once: Once) -> dict[str, Any] | None:
    """The answer to a request; None without one, or while there is only a claim. Raises
    ReusedKeyError."""
    table = IDEMPOTENT_ANSWERS
    row = connection.execute(select(table).where(table.c.hash == _name(once))).first()
    if row is None:
        return None
    if row.request_hash != text_hash(once.body):
        raise ReusedKeyError(
            "the Idempotency-Key was sent with another request before; use a new one"
        )
    answer = load(row.answer)
    return answer if isinstance(answer, dict) else None


def _put(connection: Connection, once: Once, answer: str, now: int) -> None:
    """Store an answer or a claim, as JSON, in place of what was stored."""
    table, name = IDEMPOTENT_ANSWERS, _name(once)
    connection.execute(delete(table).where(table.c.hash == name))
    values = {"hash": name, "request_hash": text_hash(once.body), "answer": answer}
    connection.execute(insert(table).values(**values, created_at=now))


def _name(once: Once) -> str:
    return text_hash("\0".join((once.key_id, once.route, once.key)))


def _match_of(answer: Any) -> int | None:
    found = answer.get(_MATCH) if isinstance(answer, dict) else None
    return found if isinstance(found, int) else None
