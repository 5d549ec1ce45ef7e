"""Paths and addresses as catalogue entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import orjson

from common.errors import UsageError
from common.types import DEFAULT_BANK, CatalogEntry
from common.uris import is_remote, public_uri
from ingest.folders import find_videos
from ingest.manifest import MANIFEST_SUFFIXES, read_manifest


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry and the path or address, as given, under which it was found."""

    entry: CatalogEntry
    root: str


def read_catalog(arguments: Sequence[str], bank: str = DEFAULT_BANK) -> list[Listed]:
    """Every video named by files, folders, manifests (.csv, .jsonl) and addresses.

    A video in a folder is named by its path relative to that folder, a single file by its name, an
    address by itself without its query and credentials. Raises UsageError for a path that is not there,
    a folder without a video, a name that is no text, metadata that is no JSON, and two videos under one
    name.
    """
    listed: dict[str, Listed] = {}
    for argument in arguments:
        for one in _read(argument, bank):
            check_entry(one.entry)
            other = listed.setdefault(one.entry.video_id, one)
            if other.entry.uri != one.entry.uri:
                raise _same_name(other.entry, one.entry)
    return list(listed.values())


def _same_name(first: CatalogEntry, second: CatalogEntry) -> UsageError:
    one, other = public_uri(first.uri), public_uri(second.uri)
    if one == other:
        return UsageError(
            f"two addresses differ only in what stands behind '?', which is no part of an id: {one}; "
            "give each a video_id in a manifest"
        )
    return UsageError(
        f"two videos are named {second.video_id!r}: {one} and {other}; "
        "index the folder above both, or name them in a manifest"
    )


def _read(argument: str, bank: str) -> Iterator[Listed]:
    if is_remote(argument):
        name = PurePosixPath(unquote(urlsplit(argument).path)).name
        shown = public_uri(argument)
        yield Listed(CatalogEntry(shown, argument, bank, title=name), shown)
        return
    path = Path(argument)
    root = str(path.absolute())
    try:
        if path.is_dir():
            found = [in_folder(video, path, bank) for video in find_videos(path)]
        elif path.suffix.lower() in MANIFEST_SUFFIXES and path.exists():
            found = [Listed(entry, root) for entry in read_manifest(path, bank)]
        elif path.exists():
            found = [Listed(CatalogEntry(path.name, root, bank), root)]
        else:
            raise UsageError(f"{argument}: there is no such file or folder")
    except OSError as error:
        raise UsageError(f"{error.filename or argument}: {error.strerror}") from None
    if not found:
        raise UsageError(f"{argument}: no video in it")
    yield from found


def in_folder(video: Path, folder: Path, bank: str = DEFAULT_BANK) -> Listed:
    """A video of a folder, named by its path relative to it."""
    # A folder of pictures may be given itself; then it is its own name.
    name = video.relative_to(folder).as_posix() if video != folder else folder.absolute().name
    return Listed(CatalogEntry(name, str(video.absolute()), bank), str(folder.absolute()))


def check_entry(entry: CatalogEntry) -> None:
    """Refuse what databases and messages cannot hold: names that are no UTF-8, as file names may be, and
    metadata that JSON has no words for. Raises UsageError."""
    for text in (entry.video_id, entry.uri, entry.bank, entry.title):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{text!r} is not UTF-8 text; rename the file") from None
    metadata = dict(entry.metadata)
    try:
        kept = orjson.loads(orjson.dumps(metadata))
    except (orjson.JSONEncodeError, orjson.JSONDecodeError) as error:
        raise UsageError(f"{entry.video_id!r}: its metadata is no JSON: {error}") from None
    # Infinity and NaN become null on the way, and NaN equals nothing.
    if kept != metadata:
        raise UsageError(
            f"{entry.video_id!r}: its metadata has a number that is not finite; leave it out"
        )
