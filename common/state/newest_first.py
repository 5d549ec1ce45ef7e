"""Pages of a table, newest row first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, func, select

from common.state.database import StateDatabase

Item = TypeVar("Item")


def page_of(
    database: StateDatabase,
    number: Column[Any],
    conditions: Sequence[ColumnElement[bool]],
    before: int | None,
    limit: int,
    made: Callable[[Row[Any]], Item],
) -> tuple[list[Item], int | None, int]:
    """As `newest_first`, with what is `made` of each row of the table, and the number of all rows."""
    with database.read() as connection:
        rows, following = newest_first(
            connection, select(number.table), number, conditions, before, limit
        )
        total = count(connection, number, conditions)
    return [made(row) for row in rows], following, total


def newest_first(
    connection: Connection,
    rows: Select[Any],
    number: Column[Any],
    conditions: Sequence[ColumnElement[bool]],
    before: int | None,
    limit: int,
) -> tuple[list[Row[Any]], int | None]:
    """The `limit` newest rows that meet the conditions, and the cursor of the next page (None at the
    end).

    number: the column that rows are numbered by, in the order of their arrival. before: the cursor; only
    rows with a smaller number."""
    query = rows.where(*conditions).order_by(number.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(number < before)
    found = connection.execute(query).all()
    following = found[limit - 1]._mapping[number] if len(found) > limit else None
    return list(found[:limit]), following


def count(
    connection: Connection, number: Column[Any], conditions: Sequence[ColumnElement[bool]]
) -> int:
    """The number of rows that meet the conditions, on all pages."""
    rows = select(func.count()).select_from(number.table).where(*conditions)
    return int(connection.execute(rows).scalar_one())
