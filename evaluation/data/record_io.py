"""Files of rows: JSON Lines (`.jsonl`, `.json`), one row per line, or Parquet (`.parquet`).

Both have the fields of `evaluation.records`, with nested matches and pieces. Files are written
atomically. A damaged file or a file of another kind raises UsageError with the place.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import orjson

from common.atomic_write import replacing
from common.errors import UsageError
from common.extras import install_command
from evaluation.records import Catalogue, CopiedRange, QueryRow, Relation, ScoredMatch

if TYPE_CHECKING:
    import pyarrow

LINES_SUFFIXES = (".jsonl", ".json")
PARQUET_SUFFIX = ".parquet"


def _columns(record: type) -> dict[str, type]:
    """The type of each field in a file: a name of a few is a string, a tuple a list."""
    kinds = {Literal: str, tuple: list}
    return {
        name: kinds.get(get_origin(kind), kind) for name, kind in get_type_hints(record).items()
    }


_PIECE, _MATCH, _ROW = map(_columns, (CopiedRange, ScoredMatch, QueryRow))
_RELATIONS, _CATALOGUES = get_args(Relation), get_args(Catalogue)


def write_rows(path: Path, rows: Iterable[QueryRow]) -> None:
    """Write rows in the format of the suffix. Raises UsageError for another suffix or for Parquet without
    pyarrow, ValueError for a number that is not finite."""
    if _is_parquet(path):
        _write_parquet(path, rows)
    else:
        _write_lines(path, rows)


def read_rows(path: Path) -> list[QueryRow]:
    """Read a file of `write_rows`. Raises UsageError if it is missing, damaged or of another kind."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file; rows are written by `storyhash evaluate`")
    return list(_read_parquet(path) if _is_parquet(path) else _read_lines(path))


def to_line(row: QueryRow) -> bytes:
    """One row as a line of JSON, with the line end."""
    line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    # orjson writes NaN as null, and no field of a row may be null.
    if b":null" in line:
        _check_finite(asdict(row))
    return line


def from_line(line: bytes) -> QueryRow:
    """A row from its line; raises ValueError with the reason."""
    return _parse_row(orjson.loads(line))


def _is_parquet(path: Path) -> bool:
    if path.suffix not in (*LINES_SUFFIXES, PARQUET_SUFFIX):
        raise UsageError(
            f"{path}: expected a name that ends in .jsonl or .parquet, got {path.suffix!r}"
        )
    return path.suffix == PARQUET_SUFFIX


def _write_lines(path: Path, rows: Iterable[QueryRow]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.writelines(map(to_line, rows))
        file.flush()
        os.fsync(file.fileno())


def _read_lines(path: Path) -> Iterator[QueryRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield from_line(line)
            except ValueError as error:
                raise UsageError(
                    f"{path}, line {number}: not a row of an evaluation ({error}); create the file again"
                ) from error


def _write_parquet(path: Path, rows: Iterable[QueryRow]) -> None:
    arrow, parquet = _arrow()
    records = [asdict(row) for row in rows]
    for record in records:
        _check_finite(record)
    table = arrow.Table.from_pylist(records, schema=_schema(arrow))
    with replacing(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def _read_parquet(path: Path) -> Iterator[QueryRow]:
    arrow, parquet = _arrow()
    try:
        # Given a path, pyarrow would turn folder names such as `a=1` into columns.
        with path.open("rb") as file:
            table = parquet.read_table(file)
        for batch in table.to_batches(max_chunksize=1000):
            for record in batch.to_pylist():
                yield _parse_row(record)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise UsageError(
            f"{path}: not rows of an evaluation ({_first_line(error)}); create the file again"
        ) from error


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            f"Parquet needs pyarrow: {install_command('evaluation')}, or use a .jsonl file"
        ) from error
    return pyarrow, pyarrow.parquet


def _schema(arrow: Any) -> pyarrow.Schema:
    """Every field required, pieces and matches as lists of structs."""
    kinds = {str: arrow.string(), float: arrow.float64(), bool: arrow.bool_(), int: arrow.int64()}

    def fields(types: Mapping[str, type]) -> list[Any]:
        nested = {"pieces": _PIECE, "matches": _MATCH}
        return [
            arrow.field(
                name,
                arrow.list_(arrow.field("item", arrow.struct(fields(nested[name])), nullable=False))
                if kind is list
                else kinds[kind],
                nullable=False,
            )
            for name, kind in types.items()
        ]

    return arrow.schema(fields(_ROW))


def _parse_row(record: Any) -> QueryRow:
    values = _check_fields("row", record, _ROW)
    if values["catalogue"] not in _CATALOGUES:
        raise ValueError(
            f"catalogue: expected one of {', '.join(_CATALOGUES)}, got {values['catalogue']!r}"
        )
    pieces = tuple(
        CopiedRange(**_check_fields("piece", piece, _PIECE)) for piece in values.pop("pieces")
    )
    matches = tuple(map(_parse_match, values.pop("matches")))
    return QueryRow(**values, pieces=pieces, matches=matches)


def _parse_match(record: Any) -> ScoredMatch:
    values = _check_fields("match", record, _MATCH)
    if values["relation"] not in _RELATIONS:
        raise ValueError(
            f"relation: expected one of {', '.join(_RELATIONS)}, got {values['relation']!r}"
        )
    return ScoredMatch(**values)


def _check_fields(record_kind: str, record: Any, fields: Mapping[str, type]) -> dict[str, Any]:
    """The record's values by name; raises ValueError for a wrong field or type."""
    if not isinstance(record, dict) or record.keys() != fields.keys():
        actual = ", ".join(sorted(record)) if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"{record_kind}: expected the fields {', '.join(fields)}, got {actual}")
    for name, kind in fields.items():
        value = record[name]
        if type(value) is not kind:
            if kind is not float or type(value) is not int:
                raise ValueError(f"{name}: expected {kind.__name__}, got {value!r}")
            record[name] = float(value)
    return record


def _check_finite(record: Mapping[str, Any]) -> None:
    for name, value in record.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, got {value}")
        if isinstance(value, (list, tuple)):
            for part in value:
                _check_finite(part)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
