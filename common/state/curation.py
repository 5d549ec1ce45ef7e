"""Settings of videos and banks by people: policies, actions, negative banks, disabled videos and banks.

Disabled videos are kept, but no search and no match finds them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from common.errors import UsageError
from common.state.database import StateDatabase
from common.state.newest_first import count
from common.state.store import Store
from common.state.tables import BANKS, DISABLED_VIDEOS
from common.state.text import dump, load, text_hash

# Every search compares its results with them.
MAX_DISABLED = 10_000
MAX_BANKS_SET = 1_000


@dataclass(frozen=True, slots=True)
class BankSetting:
    """The settings of a bank. policy: thresholds by name, only those that are set. negative: its videos
    must not cause matches. share: the fraction of queries on which it acts. actions: rules as JSON
    values; the first one that fits decides. updated_at: milliseconds since 1970."""

    title: str
    description: str
    enabled: bool
    policy: Mapping[str, float]
    updated_at: int = 0
    negative: bool = False
    share: float = 1.0
    actions: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Curation:
    """All settings at one moment. disabled: video ids. banks: by name."""

    disabled: frozenset[str] = frozenset()
    banks: Mapping[str, BankSetting] = field(default_factory=dict)

    @property
    def disabled_banks(self) -> frozenset[str]:
        """The names of the banks that are not matched."""
        return frozenset(name for name, bank in self.banks.items() if not bank.enabled)

    @property
    def negative_banks(self) -> frozenset[str]:
        """The names of the banks whose videos must not cause matches."""
        return frozenset(name for name, bank in self.banks.items() if bank.negative)


NOTHING = Curation()


class CurationStore(Store):
    """The settings in a state database. All methods but `current` raise StateError."""

    def __init__(self, database: StateDatabase, clock: Callable[[], float] = time.time) -> None:
        super().__init__(database, clock)
        self._current: Curation | None = None
        # Number of readings that began, and the one that gave `_current`.
        self._begun = self._kept = 0
        self._lock = threading.Lock()

    @property
    def current(self) -> Curation:
        """As it was read last, so that no search waits for the database. Changes of this process are in
        it. Raises StateError only if it was never read."""
        return self._current or self.read()

    def read(self) -> Curation:
        """Read it again."""
        with self._lock:
            self._begun += 1
            number = self._begun
        with self._database.read() as connection:
            ids = connection.execute(select(DISABLED_VIDEOS.c.video_id)).scalars().all()
            banks = connection.execute(select(BANKS)).all()
        found = Curation(
            frozenset(load(video_id) for video_id in ids),
            {load(row.name): _setting(row) for row in banks},
        )
        with self._lock:
            # A reading that began later may have seen a change that this one has not.
            if number > self._kept:
                self._kept, self._current = number, found
        return found

    def disable(
        self, video_id: str, key_id: str | None, check: Callable[[bool], None] = lambda _: None
    ) -> None:
        """Disable a video. check: gets whether it is disabled, and refuses the change by an error; no
        process changes this between the two. Raises UsageError if too many are."""
        table, this = DISABLED_VIDEOS, text_hash(video_id)
        with self._database.change(alone=True) as connection:
            known = _is_disabled(connection, video_id)
            check(known)
            if not known:
                total = count(connection, table.c.video_hash, ())
                if total >= MAX_DISABLED:
                    raise UsageError(
                        f"{total} videos are disabled, which is the maximum; enable or delete some"
                    )
                connection.execute(
                    insert(table).values(
                        video_hash=this,
                        video_id=dump(video_id),
                        key_id=key_id,
                        created_at=self._now(),
                    )
                )
        self.read()

    def enable(self, video_id: str, check: Callable[[bool], None] = lambda _: None) -> None:
        """Let a video be found again. check: see `disable`."""
        this = DISABLED_VIDEOS.c.video_hash == text_hash(video_id)
        with self._database.change(alone=True) as connection:
            check(_is_disabled(connection, video_id))
            found = connection.execute(delete(DISABLED_VIDEOS).where(this)).rowcount
        if found:
            self.read()

    def put_bank(
        self,
        name: str,
        bank: BankSetting,
        key_id: str | None,
        check: Callable[[BankSetting | None], None] = lambda _: None,
    ) -> None:
        """Set what is said of a bank, in place of what was. check: gets what was set, and refuses the
        change by an error; no process changes the bank between the two. Raises UsageError if there are
        too many."""
        this = BANKS.c.name_hash == text_hash(name)
        with self._database.change(alone=True) as connection:
            row = connection.execute(select(BANKS).where(this)).first()
            check(None if row is None else _setting(row))
            connection.execute(delete(BANKS).where(this))
            total = count(connection, BANKS.c.name_hash, ())
            if total >= MAX_BANKS_SET:
                raise UsageError(f"{total} banks are set, which is the maximum; delete some")
            connection.execute(
                insert(BANKS).values(
                    name_hash=text_hash(name),
                    name=dump(name),
                    title=dump(bank.title),
                    description=dump(bank.description),
                    enabled=bank.enabled,
                    policy=dump(dict(bank.policy)),
                    negative=bank.negative,
                    share=bank.share,
                    actions=dump([dict(rule) for rule in bank.actions]),
                    key_id=key_id,
                    updated_at=self._now(),
                )
            )
        self.read()

    def delete_bank(self, name: str) -> bool:
        """Forget what is set about a bank; False if nothing is."""
        with self._database.change(alone=True) as connection:
            this = BANKS.c.name_hash == text_hash(name)
            found = connection.execute(delete(BANKS).where(this)).rowcount
        self.read()
        return found > 0


def _is_disabled(connection: Connection, video_id: str) -> bool:
    this = DISABLED_VIDEOS.c.video_hash
    known = select(this).where(this == text_hash(video_id))
    return connection.execute(known).first() is not None


def _setting(row: Row[Any]) -> BankSetting:
    return BankSetting(
        load(row.title),
        load(row.description),
        row.enabled,
        load(row.policy),
        updated_at=row.updated_at,
        negative=row.negative,
        share=row.share,
        actions=tuple(load(row.actions)),
    )
