"""Gives each new SQLite state database the schema of one that Alembic made before.

Hundreds of tests open a new state database, and the migrations take most of the time of that. Here they
run once per process; afterwards their result is copied. Tests of the migrations ask for the fixture
`own_migrations`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, create_engine

from common.state import database
from common.state.migrate import upgrade


def install() -> None:
    """From now on this process and its forks copy the schema."""
    _replaced(_copy).start()


def prepare() -> None:
    """Run the migrations now, so that forks of this process need not."""
    _statements()


@contextmanager
def own_migrations() -> Iterator[None]:
    """Within the block each new database is made by Alembic, as for users."""
    with _replaced(upgrade):
        yield


@contextmanager
def copied_schema() -> Iterator[None]:
    """Within the block each new database copies the schema."""
    with _replaced(_copy):
        yield


def _replaced(by: Callable[[Connection], None]) -> Any:
    """A patch of what a database is upgraded with."""
    return patch.object(database, "upgrade", by)


def _copy(connection: Connection) -> None:
    if connection.dialect.name != "sqlite" or _tables(connection):
        upgrade(connection)
        return
    for statement in _statements():
        connection.exec_driver_sql(statement)


def _tables(connection: Connection) -> int:
    count: int = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
    return count


@cache
def _statements() -> tuple[str, ...]:
    """The SQL that makes the newest schema."""
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            upgrade(connection)
        with engine.connect() as connection:
            dump = connection.connection.driver_connection.iterdump()  # type: ignore[union-attr]
            return tuple(one for one in dump if one not in ("BEGIN TRANSACTION;", "COMMIT;"))
    finally:
        engine.dispose()
