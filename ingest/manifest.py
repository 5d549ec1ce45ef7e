"""Manifests: a catalogue written down as CSV or JSON Lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.types import CatalogEntry
from common.uris import absolute, public_uri

MANIFEST_SUFFIXES = frozenset({".csv", ".jsonl"})
_OWN = ("video_id", "uri", "bank", "title")


def read_manifest(path: Path, bank: str) -> Iterator[CatalogEntry]:
    """Entries of a manifest: `uri`, and optionally `video_id`, `bank`, `title`, `metadata` (an object, in
    JSON Lines); what else a line holds is metadata too.

    A relative uri is relative to the manifest; without a video_id the uri as written is the id, an
    address without its query and credentials.
    Raises UsageError that names the line.
    """
    for line, row in _rows(path):
        uri = row.get("uri")
        if not isinstance(uri, str) or not uri:
            raise UsageError(f"{path}, line {line}: expected a uri, got {uri!r}")
        names = {name: row.get(name) or "" for name in _OWN}
        if not all(isinstance(value, str) for value in names.values()):
            raise UsageError(f"{path}, line {line}: {', '.join(_OWN)} must be strings")
        yield CatalogEntry(
            video_id=names["video_id"] or public_uri(uri),
            uri=absolute(uri, path.parent),
            bank=names["bank"] or bank,
            title=names["title"],
            metadata=_metadata(row),
        )


def _metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in row.items() if key not in _OWN}
    given = rest.get("metadata")
    if isinstance(given, dict):
        del rest["metadata"]
        return {**given, **rest}
    return rest


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            if path.suffix.lower() == ".csv":
                reader = csv.DictReader(file, restkey="")
                for row in reader:
                    if "" in row:
                        raise UsageError(
                            f"{path}, line {reader.line_num}: more values than the header names"
                        )
                    yield reader.line_num, row
                return
            for line, text in enumerate(file, 1):
                if not text.strip():
                    continue
                row = json.loads(text)
                if not isinstance(row, dict):
                    raise UsageError(f"{path}, line {line}: expected a JSON object")
                yield line, row
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: {error.msg} in {error.doc.strip()[:60]!r}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a readable manifest ({error})") from None
