"""Manifests: a catalogue as a CSV or JSON Lines file.

Spreadsheets write tables in several ways: with commas, semicolons or tabs, as UTF-8 or UTF-16 with a
byte-order mark, with capitals in headings. All of them are read. An error names the line and what to
change.
"""

from __future__ import annotations

import codecs
import csv
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from common.errors import UsageError
from common.printable import printable
from common.types import CatalogEntry
from common.uris import absolute, is_remote, public_uri

MANIFEST_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl"})
_OWN = ("video_id", "uri", "bank", "title", "metadata")
_TEXTS = _OWN[:4]
_DELIMITERS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, because its mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Maximum length of a line.
_MAX_FIELD_BYTES = 1 << 20


def read_manifest(path: Path, bank: str) -> Iterator[CatalogEntry]:
    """The entries of a manifest: `uri`, and optionally `video_id`, `bank`, `title`, `metadata` (an
    object, in JSON Lines); other fields are metadata too.

    A relative uri is relative to the manifest. Without a video_id, the id is the uri as written; for a
    URL, without query and credentials. A `file://` URL is read as a path. Raises UsageError, which names
    the line.
    """
    for line, row in _rows(path):
        location = f"{printable(str(path))}, line {line}"
        row = _named(row, location)
        uri = row.get("uri")
        if not isinstance(uri, str) or not uri.strip():
            raise UsageError(f"{location}: expected a uri, got {uri!r}")
        names = {name: row.get(name) or "" for name in _TEXTS}
        if not all(isinstance(value, str) for value in names.values()):
            raise UsageError(f"{location}: {', '.join(_TEXTS)} must be strings")
        try:
            uri = local_path(uri)
        except UsageError as error:
            raise UsageError(f"{location}: {error}") from None
        yield CatalogEntry(
            video_id=names["video_id"]
            or (public_uri(uri) if is_remote(uri) else os.path.normpath(uri)),
            uri=absolute(uri, path.parent),
            bank=names["bank"] or bank,
            title=names["title"],
            metadata=_metadata(row),
        )


def local_path(uri: str) -> str:
    """The path of a `file://` URL; other values unchanged. Raises UsageError for a wrong URL and for a
    file of another machine."""
    if not uri.lower().startswith("file:/"):
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise UsageError(f"{printable(uri)}: not a valid address: {error}") from None
    if parts.netloc not in ("", "localhost"):
        raise UsageError(
            f"{printable(uri)}: a file on another machine; mount it and give its path here"
        )
    return unquote(parts.path, errors="surrogateescape")


def _named(row: Mapping[str, Any], location: str) -> dict[str, Any]:
    """The row with our field names in lower case."""
    named: dict[str, Any] = {}
    for key, value in row.items():
        lower_key = key.strip().lower()
        name = lower_key if lower_key in _OWN else key
        if name in named:
            raise UsageError(f"{location}: {name} is given twice; remove one")
        named[name] = value
    return named


def _metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    extra = {key: value for key, value in row.items() if key not in _TEXTS}
    metadata = extra.get("metadata")
    if isinstance(metadata, dict):
        del extra["metadata"]
        return {**metadata, **extra}
    return extra


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    file_name = printable(str(path))
    encoding = _encoding(path)
    try:
        with path.open(newline="", encoding=encoding) as file:
            yield from (_objects if path.suffix.lower() == ".jsonl" else _table)(file_name, file)
    except (UnicodeDecodeError, UnicodeError) as error:
        line = _line_of(path, error)
        raise UsageError(
            f"{file_name}{line}: not {encoding.removesuffix('-sig').upper()} text; save it as UTF-8"
        ) from None


def _table(file_name: str, file: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = iter(file)
    skipped = 0
    heading = next(lines, "")
    if heading.strip().lower().startswith("sep="):
        # Excel writes this line for itself.
        heading, skipped = next(lines, ""), 1
    delimiter = _delimiter(heading)
    if delimiter is None:
        raise UsageError(
            f"{file_name}, line {1 + skipped}: expected a column named uri, got "
            f"'{printable(heading.strip()[:60])}'; write the column names in the first "
            "line, such as video_id,uri,title"
        )
    csv.field_size_limit(_MAX_FIELD_BYTES)
    reader = csv.reader(_again(heading, lines), delimiter=delimiter, strict=True)
    # The last line of the last row: a wrong row may go on to the end of the file.
    ended = 0
    try:
        columns = next(reader)
        for name, count in Counter(columns).items():
            if name and count > 1:
                raise UsageError(
                    f"{file_name}, line {1 + skipped}: {printable(name)} is given twice; remove one"
                )
        ended = reader.line_num
        for values in filter(None, reader):
            ended = reader.line_num
            # Spreadsheets write delimiters for empty columns too.
            unnamed = [value for name, value in zip_longest(columns, values) if value and not name]
            if unnamed:
                raise UsageError(
                    f"{file_name}, line {ended + skipped}: more values than columns; "
                    f"put a value that contains '{printable(delimiter)}' in quotes"
                )
            row = dict(zip_longest(columns, values[: len(columns)]))
            row.pop("", None)
            yield ended + skipped, row
    except csv.Error as error:
        raise UsageError(
            f"{file_name}, line {ended + 1 + skipped}: {error}; correct the line"
        ) from None


def _objects(file_name: str, file: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "nested too deeply, or a number too long")
            raise UsageError(
                f"{file_name}, line {line}: {reason} in '{printable(text.strip()[:60])}'; each "
                "line must be one JSON object"
            ) from None
        if not isinstance(row, dict):
            raise UsageError(f"{file_name}, line {line}: expected a JSON object")
        yield line, row


def _delimiter(heading: str) -> str | None:
    """The delimiter with which one of the columns is named `uri`."""
    for delimiter in _DELIMITERS:
        names = next(csv.reader([heading], delimiter=delimiter), [])
        if "uri" in (name.strip().lower() for name in names):
            return delimiter
    return None


def _again(heading: str, lines: Iterator[str]) -> Iterator[str]:
    yield heading
    yield from lines


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
    if b"\0" in head and not head.startswith(tuple(mark for mark, _ in _MARKS)):
        raise UsageError(
            f"{printable(str(path))}, line 1: not text, or UTF-16 without a byte-order "
            "mark; save it as UTF-8"
        )
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")


def _line_of(path: Path, error: UnicodeError) -> str:
    """The line of text that is not UTF-8, if it can be found."""
    if getattr(error, "encoding", "") != "utf-8":
        return ""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f", line {number}"
    return ""
