"""Matches that were found: one row per query and reference video, kept for a limited time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from common.settings import StateSettings
from common.slices import slices
from common.state.database import StateDatabase
from common.state.events import Event, match_found
from common.state.mentions import forget_mentions, mentions, note_mentions
from common.state.newest_first import count, page_of
from common.state.outbox import enqueue
from common.state.store import Store, is_due
from common.state.tables import MATCH_MENTIONS, MATCHES, VERDICTS
from common.state.text import dump, load, plain, text_hash
from common.state.video_names import query_of_video

# Rows that one transaction reads or deletes.
_STEP = 500
_TRIM_EVERY_SECONDS = 600.0
_DAY_MILLISECONDS = 86_400_000


@dataclass(frozen=True, slots=True)
class FoundMatch:
    """One query and one reference. fingerprint: of the query. query_bank: None
    unless the query is a video of the catalogue. detail: JSON values. decision: after exceptions."""

    fingerprint: str
    ref_video_id: str
    bank: str
    query_bank: str | None
    decision: str
    probability: float
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredMatch:
    """A row. Times: milliseconds since 1970."""

    id: int
    bank: str
    query_bank: str | None
    decision: str
    verdict: str | None
    first_found_at: int
    found_at: int
    times_found: int
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MatchFilter:
    """Which matches to list; None means any. visible: the banks that the caller may see. since:
    milliseconds since 1970. verdicts: `none` stands for matches without one. video_id: of the query or of
    the reference. also: further conditions."""

    visible: frozenset[str] | None = None
    banks: frozenset[str] | None = None
    decision: str | None = None
    verdicts: frozenset[str] | None = None
    min_probability: float | None = None
    min_coverage: float | None = None
    since: int | None = None
    fingerprint: str | None = None
    video_id: str | None = None
    ref_video_id: str | None = None
    also: Sequence[ColumnElement[bool]] = ()

    def conditions(self) -> list[ColumnElement[bool]]:
        table, found = MATCHES.c, [*visible_to(self.visible), *self.also]
        if self.banks is not None:
            found.append(table.bank.in_([plain(bank) for bank in self.banks]))
        if self.decision is not None:
            found.append(table.decision == self.decision)
        if self.verdicts is not None:
            named = table.verdict.in_(self.verdicts - {"none"})
            found.append(or_(named, table.verdict.is_(None)) if "none" in self.verdicts else named)
        if self.min_probability is not None:
            found.append(table.probability >= self.min_probability)
        if self.min_coverage is not None:
            found.append(table.coverage >= self.min_coverage)
        if self.since is not None:
            found.append(table.found_at >= self.since)
        if self.fingerprint is not None:
            found.append(table.query_hash == text_hash(self.fingerprint))
        if self.video_id is not None:
            found.append(_of_video(self.video_id))
        if self.ref_video_id is not None:
            found.append(table.ref_hash == text_hash(self.ref_video_id))
        return found


class MatchStore(Store):
    """The matches in a state database. All methods raise StateError."""

    def __init__(
        self,
        database: StateDatabase,
        settings: StateSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(database, clock)
        self._settings = settings
        self._trimmed_at = float("-inf")

    def record(self, found: Sequence[FoundMatch]) -> list[int]:
        """Store matches and return their ids. A pair that is known is updated; its id, first time and
        verdict stay. Webhooks get a new pair, or one with another decision. Sometimes also
        deletes what is too old or too much."""
        now = self._now()
        events: list[Event] = []
        with self._database.change(alone=True) as connection:
            ids = [_record(connection, one, now, events) for one in found]
            enqueue(connection, events, now)
        if is_due(self._trimmed_at, self._clock(), _TRIM_EVERY_SECONDS):
            self._trimmed_at = self._clock()
            self.trim()
        return ids

    def get(self, match_id: int, visible: frozenset[str] | None) -> StoredMatch | None:
        """A match; None if it is unknown or not visible."""
        conditions = [MATCHES.c.id == match_id, *visible_to(visible)]
        with self._database.read() as connection:
            row = connection.execute(select(MATCHES).where(*conditions)).first()
        return None if row is None else _stored(row)

    def judged_probability(self) -> dict[str, float]:
        """The mean probability of the matches whose latest verdict says right or wrong, by bank."""
        query = (
            select(MATCHES.c.bank, func.avg(MATCHES.c.probability))
            .where(MATCHES.c.verdict.in_(("copy", "licensed", "not_copy")))
            .group_by(MATCHES.c.bank)
        )
        with self._database.read() as connection:
            return {row[0]: float(row[1]) for row in connection.execute(query)}

    def page(
        self, only: MatchFilter, before: int | None, limit: int
    ) -> tuple[list[StoredMatch], int | None, int]:
        """Matches, newest first, the cursor of the next page (None at the end), and their number."""
        return page_of(self._database, MATCHES.c.id, only.conditions(), before, limit, _stored)

    def forget_video(self, video_id: str, banks: frozenset[str] | None = None) -> int:
        """Delete all matches of a video, as query or reference, with their verdicts, and what other
        matches say of it; returns the number of deleted matches. banks: only matches that a caller of
        these banks may see."""
        visible = visible_to(banks)
        with self._database.change() as connection:
            deleted = _delete(connection, select(MATCHES.c.id).where(_of_video(video_id), *visible))
        with self._database.read() as connection:
            named = select(MATCHES.c.id).where(mentions(video_id), *visible)
            ids = connection.execute(named).scalars().all()
        for some in slices(ids, _STEP):
            with self._database.change(alone=True) as connection:
                forget_mentions(connection, some, video_id)
        return deleted

    def not_copies_of(self, video_id: str) -> frozenset[str]:
        """The other videos of matches between this video and one of the catalogue, in either direction,
        whose latest verdict is "not a copy"."""
        conditions = [_of_video(video_id), MATCHES.c.verdict == "not_copy"]
        with self._database.read() as connection:
            found = [_stored(row) for row in connection.execute(select(MATCHES).where(*conditions))]
        both = [
            (match.detail["query"].get("video_id"), match.detail["ref_video_id"]) for match in found
        ]
        return frozenset(name for pair in both for name in pair if name and name != video_id)

    def count_of(self, video_id: str) -> int:
        """Number of matches of a video, as query or reference."""
        with self._database.read() as connection:
            return count(connection, MATCHES.c.id, [_of_video(video_id)])

    def mentions_of(self, video_id: str) -> int:
        """Number of matches of two other videos that name this one."""
        with self._database.read() as connection:
            return count(connection, MATCHES.c.id, [mentions(video_id)])

    def move_video(self, video_id: str, bank: str) -> None:
        """Note the new bank of a video in its matches, so that who may see the video sees them."""
        bank_name = plain(bank)
        with self._database.change(alone=True) as connection:
            as_reference = MATCHES.c.ref_hash == text_hash(video_id)
            connection.execute(update(MATCHES).where(as_reference).values(bank=bank_name))
            as_query = MATCHES.c.query_hash == text_hash(query_of_video(video_id))
            for row in connection.execute(select(MATCHES).where(as_query)).all():
                detail = load(row.detail)
                detail["query"] = {**detail.get("query", {}), "bank": bank}
                connection.execute(
                    update(MATCHES)
                    .where(MATCHES.c.id == row.id)
                    .values(query_bank=bank_name, detail=dump(detail))
                )

    def trim(self) -> int:
        """Delete matches that are too old, then those that are too many: first the oldest without a
        verdict. Returns the number of deleted matches."""
        before = self._now() - self._settings.match_days * _DAY_MILLISECONDS
        deleted = 0
        while step := self._trim_step(before):
            deleted += step
        return deleted

    def _trim_step(self, before: int) -> int:
        with self._database.change() as connection:
            step = _delete(
                connection, select(MATCHES.c.id).where(MATCHES.c.found_at < before).limit(_STEP)
            )
            if step:
                return step
            excess = min(_STEP, count(connection, MATCHES.c.id, ()) - self._settings.max_matches)
            if excess <= 0:
                return 0
            oldest = (
                select(MATCHES.c.id)
                .order_by(MATCHES.c.verdict.is_not(None), MATCHES.c.id)
                .limit(excess)
            )
            return _delete(connection, oldest)


def visible_to(banks: frozenset[str] | None) -> list[ColumnElement[bool]]:
    """The condition that a caller of these banks may see a match: the banks of both videos are his."""
    if banks is None:
        return []
    own = [plain(bank) for bank in banks]
    query_bank = MATCHES.c.query_bank
    return [and_(MATCHES.c.bank.in_(own), or_(query_bank.is_(None), query_bank.in_(own)))]


def revise(
    connection: Connection,
    ref_video_id: str,
    decide: Callable[[StoredMatch], str],
    only: Sequence[ColumnElement[bool]] = (),
) -> list[int]:
    """Decide on all stored matches of a reference again; returns the ids of those whose decision changed,
    newest first."""
    changed: list[int] = []
    before: int | None = None
    while True:
        query = select(MATCHES).where(MATCHES.c.ref_hash == text_hash(ref_video_id), *only)
        if before is not None:
            query = query.where(MATCHES.c.id < before)
        rows = connection.execute(query.order_by(MATCHES.c.id.desc()).limit(_STEP)).all()
        for row in rows:
            decision = decide(_stored(row))
            if decision != row.decision:
                changed.append(row.id)
                connection.execute(
                    update(MATCHES).where(MATCHES.c.id == row.id).values(decision=decision)
                )
        if len(rows) < _STEP:
            return changed
        before = rows[-1].id


def _record(connection: Connection, found: FoundMatch, now: int, events: list[Event]) -> int:
    pair = {"query_hash": text_hash(found.fingerprint), "ref_hash": text_hash(found.ref_video_id)}
    values = {
        "bank": plain(found.bank),
        "query_bank": None if found.query_bank is None else plain(found.query_bank),
        "decision": found.decision,
        "probability": found.probability,
        "coverage": found.detail.get("coverage"),
        "found_at": now,
        "detail": dump(found.detail),
    }
    known = connection.execute(
        select(MATCHES.c.id, MATCHES.c.decision).filter_by(**pair)
    ).one_or_none()
    if known is None:
        row = insert(MATCHES).values(**pair, **values, first_found_at=now, times_found=1)
        match_id = int(connection.execute(row.returning(MATCHES.c.id)).scalar_one())
    else:
        match_id = int(known.id)
        connection.execute(
            update(MATCHES)
            .where(MATCHES.c.id == match_id)
            .values(**values, times_found=MATCHES.c.times_found + 1)
        )
    note_mentions(connection, match_id, found.detail)
    told_before = known is not None and known.decision == found.decision
    if found.decision != "no_match" and not told_before:
        judged = (found.bank, found.query_bank, found.decision, found.probability)
        events.append(match_found(match_id, *judged, found.detail))
    return match_id


def _of_video(video_id: str) -> ColumnElement[bool]:
    as_query = MATCHES.c.query_hash == text_hash(query_of_video(video_id))
    return or_(MATCHES.c.ref_hash == text_hash(video_id), as_query)


def _delete(connection: Connection, ids: Any) -> int:
    """Delete the matches with these ids and their verdicts."""
    chosen = [row.id for row in connection.execute(ids)]
    for step in slices(chosen, _STEP):
        connection.execute(delete(VERDICTS).where(VERDICTS.c.match_id.in_(step)))
        connection.execute(delete(MATCH_MENTIONS).where(MATCH_MENTIONS.c.match_id.in_(step)))
        connection.execute(delete(MATCHES).where(MATCHES.c.id.in_(step)))
    return len(chosen)


def _stored(row: Row[Any]) -> StoredMatch:
    return StoredMatch(
        row.id,
        row.bank,
        row.query_bank,
        row.decision,
        row.verdict,
        row.first_found_at,
        row.found_at,
        row.times_found,
        load(row.detail),
    )
