"""SQLite: one connection, short transactions, our own errors."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from common.atomic_write import private_folder
from common.errors import CorruptIndexError, StorageError

# Seconds that a connection waits for the others that use the file.
BUSY_SECONDS = 10.0
# SQLite's name of a database that is no file.
_MEMORY = ":memory:"


class Execute(Protocol):
    """`execute(sql, *arguments)` inside a transaction."""

    def __call__(self, sql: str, *arguments: Any) -> sqlite3.Cursor: ...


class Database:
    """One database file that only its owner can read. Any thread may use it; a lock serialises them."""

    def __init__(
        self, path: Path | None, schema: str, *, remedy: str, read_only: bool = False
    ) -> None:
        """Open the file, or create it with its folder. path: None for a new database in memory. remedy:
        what to do if the file is damaged, for the error message. Raises CorruptIndexError or
        StorageError."""
        self._lock = threading.RLock()
        self._path = path or _MEMORY
        self._remedy = remedy
        with self._guarded():
            if path is not None and read_only:
                self._db = sqlite3.connect(read_only_uri(path), uri=True, check_same_thread=False)
                return
            if path is not None:
                private_folder(path.parent)
            self._db = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
            try:
                set_journal(self._db)
                self._db.executescript(schema)
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        self._db.close()

    def run_script(self, statements: str) -> None:
        """Run several statements, each in its own transaction."""
        with self._guarded():
            self._db.executescript(statements)

    def compact(self) -> None:
        """Rewrite the file without what was deleted."""
        self.run_script("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        with self._guarded():
            return self._db.execute(sql, arguments).fetchall()

    @contextmanager
    def change(self) -> Iterator[Execute]:
        """One transaction, all or nothing; one inside another is a part of it."""
        with self._guarded():
            if self._db.in_transaction:
                yield self._execute
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._execute
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        # Some errors have ended the transaction already.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        return self._db.execute(sql, arguments)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.OperationalError as error:
                raise StorageError(
                    f"{self._path}: {error}; free some disk space or correct the permissions, "
                    "then run the same command again"
                ) from None
            except sqlite3.DatabaseError as error:
                raise CorruptIndexError(f"{self._path}: {error}; {self._remedy}") from None


def read_only_uri(path: Path) -> str:
    """The URI with which SQLite opens a database read-only.

    A closed database in a folder that cannot be written is opened as immutable. Otherwise SQLite would
    create the files of its write-ahead log beside it, even for reading.
    """
    is_open = path.with_name(f"{path.name}-wal").exists()
    sealed = "" if is_open or os.access(path.parent, os.W_OK) else "&immutable=1"
    return f"{path.resolve().as_uri()}?mode=ro{sealed}"


def set_journal(connection: sqlite3.Connection) -> None:
    """Use a write-ahead log, flushed at every commit. Raises sqlite3.OperationalError."""
    # SQLite's own time-out does not apply to this change of mode: of several processes that open a new
    # file together, all but one would fail at once.
    Retrying(
        retry=retry_if_exception(_busy),
        stop=stop_after_delay(BUSY_SECONDS),
        wait=wait_random(0.001, 0.02),
        reraise=True,
    )(connection.execute, "PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and (
        error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    )


def copy_database(source: Path, target: Path) -> None:
    """Copy a database, as of one moment, into a new file; other processes may use it meanwhile (SQLite's
    online backup). Raises StorageError, CorruptIndexError."""
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as held,
            closing(sqlite3.connect(target)) as copy,
        ):
            # All pages in one step: with smaller ones, a write by another process starts the copy anew.
            held.backup(copy)
            # One file, without what was deleted.
            copy.execute("PRAGMA journal_mode=DELETE")
            copy.execute("VACUUM")
            ((problem,),) = copy.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        raise StorageError(
            f"{source} could not be copied to {target.parent} ({error}); free some disk space or correct "
            "the permissions"
        ) from None
    except sqlite3.DatabaseError as error:
        raise CorruptIndexError(f"{source} is damaged ({error}); restore a backup") from None
    if problem != "ok":
        raise CorruptIndexError(f"{source} is damaged ({problem}); restore a backup")
