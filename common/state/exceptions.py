"""Exceptions: pairs of videos that are no match, and ranges of references that never count."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select, update

from common.errors import UsageError
from common.slices import slices
from common.state.idempotency import Once, answered_once
from common.state.keys import iso
from common.state.matches import StoredMatch, revise, visible_to
from common.state.newest_first import count, page_of
from common.state.store import Store
from common.state.tables import EXCEPTIONS, MATCHES
from common.state.text import dump, load, plain, text_hash
from common.state.video_names import query_of_video

# Maximum number of exceptions, and of ranges of one reference.
MAX_EXCEPTIONS, MAX_RANGES = 100_000, 200
_STEP = 500
# Maximum number of ids of changed matches in an answer.
_MAX_LISTED = 100


@dataclass(frozen=True, slots=True)
class NewException:
    """A pair has a fingerprint, a range has seconds. bank: of the reference."""

    kind: str
    bank: str
    ref_video_id: str
    reason: str
    note: str
    fingerprint: str | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    author: str | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class StoredException:
    """A row. created_at: milliseconds since 1970."""

    id: int
    kind: str
    bank: str
    fingerprint: str | None
    ref_video_id: str
    start_seconds: float | None
    end_seconds: float | None
    reason: str
    note: str
    author: str | None
    key_id: str | None
    created_at: int

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        fields["query_fingerprint"] = fields.pop("fingerprint")
        return fields | {"created_at": iso(self.created_at)}


# The decision on a stored match under these exceptions of its reference.
Decide = Callable[[StoredMatch, Sequence[StoredException]], str]


class _OnlyTriedError(Exception):
    """Undoes the transaction of a trial."""


class ExceptionStore(Store):
    """The exceptions in a state database. All methods raise StateError."""

    def add(
        self,
        new: NewException,
        decide: Decide,
        visible: frozenset[str] | None,
        once: Once | None = None,
        *,
        dry_run: bool = False,
    ) -> tuple[dict[str, Any], bool]:
        """Add an exception and decide on the stored matches of its reference again.

        Returns it as JSON values, with the visible matches that it changed, and whether an earlier
        request with the same Idempotency-Key added it. dry_run: store nothing. Raises UsageError if
        there are too many, ReusedKeyError.
        """
        answer: tuple[dict[str, Any], bool] = {}, False
        try:
            with self._database.change(alone=True) as connection:
                answer = answered_once(
                    connection,
                    None if dry_run else once,
                    lambda: self._add(connection, new, decide, visible),
                    self._clock,
                )
                if dry_run:
                    raise _OnlyTriedError
        except _OnlyTriedError:
            answer[0]["id"] = None
        return answer

    def remove(self, exception_id: int, decide: Decide, visible: frozenset[str] | None) -> bool:
        """Delete an exception and decide on the stored matches of its reference again; False if it is
        unknown or not visible."""
        with self._database.change(alone=True) as connection:
            row = connection.execute(_one(exception_id, visible)).first()
            if row is None:
                return False
            connection.execute(delete(EXCEPTIONS).where(EXCEPTIONS.c.id == exception_id))
            _decide_again(connection, _stored(row), decide)
        return True

    def get(self, exception_id: int, visible: frozenset[str] | None) -> StoredException | None:
        """An exception; None if it is unknown or not visible."""
        with self._database.read() as connection:
            row = connection.execute(_one(exception_id, visible)).first()
        return None if row is None else _stored(row)

    def page(
        self,
        banks: frozenset[str] | None,
        before: int | None,
        limit: int,
        *,
        kind: str | None = None,
        fingerprint: str | None = None,
        ref_video_id: str | None = None,
    ) -> tuple[list[StoredException], int | None, int]:
        """Exceptions, newest first, the cursor of the next page (None at the end), and their number.
        banks: None means all."""
        table, conditions = EXCEPTIONS.c, _in_banks(banks)
        if kind is not None:
            conditions.append(table.kind == kind)
        if fingerprint is not None:
            conditions.append(table.query_hash == text_hash(fingerprint))
        if ref_video_id is not None:
            conditions.append(table.ref_hash == text_hash(ref_video_id))
        return page_of(self._database, table.id, conditions, before, limit, _stored)

    def of_references(
        self, video_ids: Collection[str], fingerprint: str | None = None
    ) -> dict[str, list[StoredException]]:
        """The exceptions of these references, by video id. fingerprint: leave out pairs with another
        query."""
        found: dict[str, list[StoredException]] = {}
        hashes = [text_hash(video_id) for video_id in video_ids]
        with self._database.read() as connection:
            for some in slices(hashes, _STEP):
                query = select(EXCEPTIONS).where(EXCEPTIONS.c.ref_hash.in_(some))
                if fingerprint is not None:
                    of_query = EXCEPTIONS.c.query_hash == text_hash(fingerprint)
                    query = query.where(or_(EXCEPTIONS.c.query_hash.is_(None), of_query))
                for row in connection.execute(query.order_by(EXCEPTIONS.c.id)):
                    one = _stored(row)
                    found.setdefault(one.ref_video_id, []).append(one)
        return found

    def forget_video(self, video_id: str, banks: frozenset[str] | None = None) -> None:
        """Delete all exceptions of a video, as query or reference. banks: only those of these banks."""
        with self._database.change() as connection:
            connection.execute(delete(EXCEPTIONS).where(_of_video(video_id), *_in_banks(banks)))

    def count_of(self, video_id: str) -> int:
        """Number of exceptions of a video, as query or reference."""
        with self._database.read() as connection:
            return count(connection, EXCEPTIONS.c.id, [_of_video(video_id)])

    def move_video(self, video_id: str, bank: str) -> None:
        """Note the new bank of a reference in its exceptions."""
        as_reference = EXCEPTIONS.c.ref_hash == text_hash(video_id)
        with self._database.change() as connection:
            connection.execute(update(EXCEPTIONS).where(as_reference).values(bank=plain(bank)))

    def _add(
        self,
        connection: Connection,
        new: NewException,
        decide: Decide,
        visible: frozenset[str] | None,
    ) -> dict[str, Any]:
        _check_number(connection, new)
        detail = {
            "query_fingerprint": new.fingerprint,
            "ref_video_id": new.ref_video_id,
            "reason": new.reason,
            "note": new.note,
            "author": new.author,
        }
        row = insert(EXCEPTIONS).values(
            kind=new.kind,
            bank=plain(new.bank),
            query_hash=None if new.fingerprint is None else text_hash(new.fingerprint),
            ref_hash=text_hash(new.ref_video_id),
            start_seconds=new.start_seconds,
            end_seconds=new.end_seconds,
            key_id=new.key_id,
            created_at=self._now(),
            detail=dump(detail),
        )
        added = connection.execute(row.returning(EXCEPTIONS.c.id)).scalar_one()
        made = _stored(connection.execute(_one(added, None)).one())
        changed = _decide_again(connection, made, decide)
        seen = [
            match_id
            for some in slices(changed, _STEP)
            for match_id in connection.execute(
                select(MATCHES.c.id)
                .where(MATCHES.c.id.in_(some), *visible_to(visible))
                .order_by(MATCHES.c.id.desc())
            ).scalars()
        ]
        return {**made.to_json(), "affected": {"total": len(seen), "match_ids": seen[:_MAX_LISTED]}}


def _check_number(connection: Connection, new: NewException) -> None:
    table = EXCEPTIONS.c
    total = count(connection, table.id, ())
    if total >= MAX_EXCEPTIONS:
        raise UsageError(f"there are {total} exceptions, which is the maximum; delete some")
    if new.kind == "range":
        of_reference = table.ref_hash == text_hash(new.ref_video_id)
        ranges = count(connection, table.id, [of_reference, table.kind == "range"])
        if ranges >= MAX_RANGES:
            raise UsageError(
                f"the reference has {ranges} excepted ranges, which is the maximum; delete some"
            )


def _decide_again(connection: Connection, changed: StoredException, decide: Decide) -> list[int]:
    """Decide on the matches again that this new or deleted exception concerns."""
    of_reference = EXCEPTIONS.c.ref_hash == text_hash(changed.ref_video_id)
    query, only = select(EXCEPTIONS).where(of_reference).order_by(EXCEPTIONS.c.id), []
    if changed.fingerprint is not None:
        of_query = text_hash(changed.fingerprint)
        only.append(MATCHES.c.query_hash == of_query)
        query = query.where(
            or_(EXCEPTIONS.c.query_hash.is_(None), EXCEPTIONS.c.query_hash == of_query)
        )
    exceptions = [_stored(row) for row in connection.execute(query)]
    return revise(connection, changed.ref_video_id, lambda one: decide(one, exceptions), only)


def _in_banks(banks: frozenset[str] | None) -> list[ColumnElement[bool]]:
    return [] if banks is None else [EXCEPTIONS.c.bank.in_([plain(bank) for bank in banks])]


def _one(exception_id: int, visible: frozenset[str] | None) -> Any:
    return select(EXCEPTIONS).where(EXCEPTIONS.c.id == exception_id, *_in_banks(visible))


def _stored(row: Row[Any]) -> StoredException:
    detail = load(row.detail)
    return StoredException(
        row.id,
        row.kind,
        row.bank,
        detail["query_fingerprint"],
        detail["ref_video_id"],
        row.start_seconds,
        row.end_seconds,
        detail["reason"],
        detail["note"],
        detail["author"],
        row.key_id,
        row.created_at,
    )


def _of_video(video_id: str) -> ColumnElement[bool]:
    as_query = EXCEPTIONS.c.query_hash == text_hash(query_of_video(video_id))
    return or_(EXCEPTIONS.c.ref_hash == text_hash(video_id), as_query)
