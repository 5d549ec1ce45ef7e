"""Videos that people have disabled: they are kept, but no search and no match finds them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from common.errors import UsageError
from common.state.database import StateDatabase
from common.state.newest_first import count
from common.state.tables import DISABLED_VIDEOS
from common.state.text import dump, load, text_hash

# Every search compares its results with them.
MAX_DISABLED = 10_000


@dataclass(frozen=True, slots=True)
class Curation:
    """All of it at one moment. disabled: video ids."""

    disabled: frozenset[str] = frozenset()


NOTHING = Curation()


class CurationStore:
    """What people have set, in a state database. All methods but `current` raise StateError."""

    def __init__(self, database: StateDatabase, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._current: Curation | None = None

    @property
    def current(self) -> Curation:
        """As it was read last, so that no search waits for the database. Changes of this process are in
        it. Raises StateError only if it was never read."""
        return self._current or self.read()

    def read(self) -> Curation:
        """Read it again."""
        with self._database.read() as connection:
            ids = connection.execute(select(DISABLED_VIDEOS.c.video_id)).scalars()
            found = Curation(frozenset(load(video_id) for video_id in ids))
        self._current = found
        return found

    def disable(self, video_id: str, key_id: str | None) -> None:
        """Disable a video. Raises UsageError if too many are."""
        table, this = DISABLED_VIDEOS, text_hash(video_id)
        with self._database.change(alone=True) as connection:
            known = select(table.c.video_hash).where(table.c.video_hash == this)
            if connection.execute(known).first() is None:
                total = count(connection, table.c.video_hash, ())
                if total >= MAX_DISABLED:
                    raise UsageError(
                        f"{total} videos are disabled already, as many as can be; delete some"
                    )
                connection.execute(
                    insert(table).values(
                        video_hash=this,
                        video_id=dump(video_id),
                        key_id=key_id,
                        created_at=int(1000 * self._clock()),
                    )
                )
        self.read()

    def enable(self, video_id: str) -> None:
        """Let a video be found again."""
        this = DISABLED_VIDEOS.c.video_hash == text_hash(video_id)
        with self._database.change() as connection:
            found = connection.execute(delete(DISABLED_VIDEOS).where(this)).rowcount
        if found:
            self.read()
