"""The commit and the checksums of a downloaded model, in a file beside it. They are compared whenever the
model is loaded."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from common.atomic_write import replacing

RECORD = "storyhash-pull.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str) -> bool:
    """Whether it is a commit, which never changes, unlike a branch."""
    return _COMMIT.fullmatch(revision) is not None


def note_pull(folder: Path, reference: str, commit: str, names: Iterable[str]) -> None:
    """Record the commit and the checksums of files. Raises OSError."""
    files = {name: {"sha256": sha256(folder / name)} for name in sorted(names)}
    record = {"model": reference, "revision": commit, "files": files}
    with replacing(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def noted_commit(folder: Path) -> str:
    """The commit of the files; empty if it was not recorded."""
    return str(_read(folder).get("revision", ""))


def difference(folder: Path, weights: Path) -> str:
    """How files differ from the download; empty if they do not. Without a record, the weights are
    compared with their name in the hub's cache, which is their checksum."""
    files = _read(folder).get("files")
    if isinstance(files, Mapping):
        for name, expected in files.items():
            problem = _difference(folder / str(name), str(expected["sha256"]))
            if problem:
                return problem
        return "" if weights.name in files else f"{weights.name} is not one of the downloaded files"
    published = published_checksum(weights)
    return "" if published is None else _difference(weights, published)


def published_checksum(file: Path) -> str | None:
    """The sha256 the hub published for a file in its cache: the name of the blob it links to."""
    name = Path(os.path.realpath(file)).name
    return name if len(name) == 64 and set(name) <= set("0123456789abcdef") else None


def sha256(file: Path) -> str:
    """The SHA-256 of a file in hex digits, cached while the file does not change."""
    state = file.stat()
    return _sha256(str(file), state.st_ino, state.st_size, state.st_mtime_ns)


def git_blob(file: Path) -> str:
    """The checksum that git, and so the hub, gives a small file."""
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@lru_cache(maxsize=32)
def _sha256(file: str, _inode: int, _size: int, _mtime_ns: int) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _difference(file: Path, expected: str) -> str:
    try:
        checksum = sha256(file)
    except OSError as error:
        return f"{file.name}: {error.strerror}"
    return (
        ""
        if checksum == expected
        else f"{file.name}: its sha256 is {checksum}, expected {expected}"
    )


def _read(folder: Path) -> Mapping[str, object]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        for file in record["files"].values():
            file["sha256"]
        return dict(record)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # If the record is damaged, the weights may be damaged too.
        return {"files": {RECORD: {"sha256": "a record that can be read"}}}
