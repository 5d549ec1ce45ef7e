"""The state database: SQLite in the data folder, or PostgreSQL at an address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from common.atomic_write import private_folder
from common.errors import SettingsError, StateError
from common.extras import install_command
from common.settings import Settings
from common.sqlite import BUSY_SECONDS, read_only_uri, set_journal
from common.state.files import FILES
from common.state.migrate import HEAD, revision, upgrade

_POSTGRES = "postgresql+psycopg"
_CONNECT_SECONDS = 5
# Connections per process: two threads verify keys, and a few record changes.
_CONNECTIONS = 4
# An arbitrary fixed number: the lock for changing the schema and for creating the first key.
_ADVISORY_LOCK = 0x53484B53
_READING = {"storyhash_reading": True}
# SQLite's readers have it anyway.
_OF_ONE_VERSION = {"isolation_level": "REPEATABLE READ"}


class StateDatabase:
    """One database. All threads and several processes may use it at the same time."""

    def __init__(self, settings: Settings) -> None:
        """Open or create the database and upgrade its schema to this version.

        Raises StateError, SettingsError.
        """
        given = settings.state.url
        self._isolation = {} if given is None else _OF_ONE_VERSION
        if given is None:
            path = settings.data_dir / FILES[0]
            self._name = str(path)
            self._remedy = "free some disk space, or correct the permissions"
            self._engine = _sqlite(path)
        else:
            url = postgres_url(settings)
            self._name = f"the state database at {url.host or 'localhost'}"
            self._remedy = "start the database, or correct STORYHASH_STATE__URL"
            self._engine = postgres_engine(settings)
        try:
            with self.read() as connection:
                current = revision(connection) == HEAD
            if not current:
                with self.change(alone=True) as connection:
                    if revision(connection) != HEAD:
                        upgrade(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in a read-only transaction: it sees one version of the data. Raises StateError."""
        with (
            self._told(),
            self._engine.connect() as connection,
            connection.execution_options(**_READING, **self._isolation).begin(),
        ):
            yield connection

    @contextmanager
    def change(self, *, alone: bool = False) -> Iterator[Connection]:
        """A write transaction: it is committed as a unit or not at all. alone: run no other transaction
        with `alone` at the same time, in any process (SQLite has only one writer anyway). Raises
        StateError."""
        with self._told(), self._engine.begin() as connection:
            if alone and connection.dialect.name != "sqlite":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            yield connection

    def check_writable(self) -> None:
        """Raises StateError if the database can only be read, or does not respond."""
        with self.change() as connection:
            # A transaction alone is not refused.
            connection.execute(text("UPDATE alembic_version SET version_num = version_num"))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            # The message omits the SQL statement and its values.
            cause = getattr(error, "orig", None) or error
            why = " ".join(str(cause).split())
            raise StateError(f"{self._name}: {why}; {self._remedy}") from None


def _sqlite(path: Path) -> Engine:
    """An engine of a file, which is made if it is missing. One that cannot be written is only read."""
    is_sealed = path.exists() and not os.access(path, os.W_OK)
    if not is_sealed:
        _make(path)
    engine = create_engine(
        URL.create(
            "sqlite",
            database=read_only_uri(path) if is_sealed else str(path),
            query={"uri": "true"} if is_sealed else {},
        ),
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        pool_size=_CONNECTIONS,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        # `begun` starts transactions, so Python's driver must not.
        connection.isolation_level = None
        if not is_sealed:
            set_journal(connection)

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        reading = connection.get_execution_options().get("storyhash_reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _make(path: Path) -> None:
    try:
        private_folder(path.parent)
        # Readable only by the owner, whatever the umask is. SQLite gives -wal and -shm the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}; correct the permissions") from None


def postgres_url(settings: Settings) -> URL:
    """The URL of the PostgreSQL database that the settings name. Raises SettingsError for any other
    address, or for none."""
    given = "" if settings.state.url is None else settings.state.url.get_secret_value()
    try:
        url = make_url(given)
    except ArgumentError:
        url = URL.create("unknown")
    if url.drivername not in ("postgresql", "postgres", _POSTGRES):
        raise SettingsError(
            "STORYHASH_STATE__URL: expected an address such as "
            "postgresql://user:password@host/storyhash"
        )
    return url.set(drivername=_POSTGRES)


def postgres_engine(settings: Settings) -> Engine:
    """An engine of this database. Raises StateError without the driver, SettingsError."""
    url = postgres_url(settings)
    # Session options in the address are kept; ours are added.
    given = url.query.get("options", "")
    try:
        return create_engine(
            url,
            connect_args={
                "connect_timeout": _CONNECT_SECONDS,
                "options": f"{given} -c statement_timeout={int(1000 * BUSY_SECONDS)}",
                # Without this, a connection to a machine that disappeared would stay open.
                "tcp_user_timeout": int(1000 * BUSY_SECONDS),
            },
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=BUSY_SECONDS,
            pool_pre_ping=True,
        )
    except (ModuleNotFoundError, NoSuchModuleError):
        raise StateError(
            f"STORYHASH_STATE__URL needs the PostgreSQL driver: {install_command('postgres')}"
        ) from None
