"""The order in which queued jobs run: the keys take turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from common.state.job_rows import QUEUED
from common.state.tables import JOBS


def fair_order(queued: Sequence[tuple[int, str]], served_at: Mapping[str, int]) -> list[int]:
    """The numbers of queued jobs in the order in which they run: the keys take turns, and the key whose
    last job began the longest ago is first.

    queued: numbers and keys, ordered by number. served_at: when the last job of a key began.
    """
    turns: Counter[str] = Counter()
    order = []
    for number, key_id in queued:
        order.append((turns[key_id], served_at.get(key_id, 0), number))
        turns[key_id] += 1
    return [number for _, _, number in sorted(order)]


def queue_order(
    connection: Connection, owner: str, now: int, without: Collection[str] = ()
) -> list[int]:
    """The numbers of an owner's queued jobs in the order in which they run. now: milliseconds since
    1970. without: ids of jobs to leave out."""
    queued = connection.execute(
        select(JOBS.c.number, JOBS.c.key_id)
        .where(JOBS.c.owner == owner, JOBS.c.state == QUEUED, JOBS.c.id.not_in(without))
        .order_by(JOBS.c.number)
    ).all()
    # A time in the future is of a clock that was set back since. It would put its key last until then.
    served = connection.execute(
        select(JOBS.c.key_id, func.max(JOBS.c.started_at))
        .where(JOBS.c.owner == owner, JOBS.c.started_at <= now)
        .group_by(JOBS.c.key_id)
    ).all()
    return fair_order(
        [(number, key_id) for number, key_id in queued],
        {key_id: int(started) for key_id, started in served},
    )


def positions_of(connection: Connection, rows: Sequence[Row[Any]], now: int) -> dict[int, int]:
    """The positions of queued jobs, by number. now: milliseconds since 1970."""
    owners = {row.owner for row in rows if row.state == QUEUED}
    return {
        number: position
        for owner in owners
        for position, number in enumerate(queue_order(connection, owner, now))
    }
