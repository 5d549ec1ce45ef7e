"""A backup's description, and the check of all its files.

A backup is a folder `storyhash-{UTC time}` with

videos.sqlite     the catalogue, staged videos, log offsets
embeddings/       every segment of the catalogue
snapshots/        the shard, for a fast start
state.sqlite      keys, audit log, matches, verdicts, exceptions, jobs, webhooks
state.dump        the same of a PostgreSQL database, written by pg_dump
producer.sqlite   what a producer has sent
second-opinion/   the second index: its own videos.sqlite, embeddings/ and snapshots/
backup.json       this description, with a checksum of each file

Only complete backups have this name; one in progress is hidden.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from common.errors import CorruptIndexError, UsageError
from searcher import second_folder

FORMAT = 1
PREFIX = "storyhash-"
CATALOGUE, EMBEDDINGS, SHARD = "videos.sqlite", "embeddings", "snapshots"
SECOND = second_folder.FOLDER
STATE, PRODUCER, JOBS_OWNER = "state.sqlite", "producer.sqlite", "jobs-owner"
STATE_DUMP = "state.dump"
# Where keys and verdicts are: a dump of PostgreSQL is in the backup, a database without one is not.
StateDatabaseKind: TypeAlias = Literal["sqlite", "postgresql_dump", "postgresql", "none"]
_MANIFEST = "backup.json"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Size in bytes and BLAKE2b checksum, in hexadecimal, of a file."""

    bytes: int
    checksum: str


@dataclass(frozen=True, slots=True)
class SecondManifest:
    """What a backup has of the second index."""

    profile: str
    model_id: str
    videos: int
    segments: int


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """What a backup has. created_at: UTC. generation: the one that answered; '' is the first. offsets:
    log offset per partition. state_database: where keys and verdicts are kept. files: by their path in
    the backup. uploads_left_out: uploaded videos, whose files are not in the backup. second_opinion: None
    without a second index."""

    created_at: str
    storyhash: str
    profile: str
    model_id: str
    generation: str
    videos: int
    segments: int
    offsets: Mapping[str, int]
    state_database: StateDatabaseKind
    files: Mapping[str, StoredFile]
    uploads_left_out: int = 0
    second_opinion: SecondManifest | None = None

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files.values())

    def embeddings_in(self, folder: Path, part: str = "") -> list[Path]:
        """The files of embeddings of a backup in this folder, in the order in which they were written.
        part: of the second index, which is in this folder of the backup."""
        inside = Path(part, EMBEDDINGS)
        return [folder / name for name in sorted(self.files) if Path(name).parent == inside]

    def to_json(self, name: str) -> dict[str, Any]:
        """The form of the API and of `storyhash snapshot list`."""
        shown = {key: value for key, value in asdict(self).items() if key != "files"}
        return {"name": name, "state": "complete", **shown, "bytes": self.bytes}


def write_manifest(folder: Path, manifest: BackupManifest) -> None:
    """Write it durably, as the last file of a backup."""
    content: dict[str, Any] = {"format": FORMAT, **asdict(manifest)}
    if manifest.second_opinion is None:
        # Releases before the second opinion read such a backup too.
        del content["second_opinion"]
    content["checksum"] = _checksum_of(content)
    with (folder / _MANIFEST).open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> BackupManifest:
    """The description of a backup. Raises UsageError if the folder is none, CorruptIndexError if the
    description is damaged."""
    try:
        text = (folder / _MANIFEST).read_text()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{folder} is not a backup; `storyhash snapshot list` shows the backups of a folder"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(folder, f"{_MANIFEST} cannot be read ({error})") from None
    try:
        content = json.loads(text)
        stated, found = content.pop("checksum"), content.pop("format")
        if stated != _checksum_of({"format": found, **content}):
            raise _damaged(folder, f"{_MANIFEST} does not match its checksum")
        if found != FORMAT:
            raise UsageError(
                f"{folder} has format {found}, this version reads {FORMAT}; restore it with the version "
                "that made it, or with a newer one"
            )
        files = {name: StoredFile(**file) for name, file in content.pop("files").items()}
        second = content.pop("second_opinion", None)
        return BackupManifest(
            **content, files=files, second_opinion=second and SecondManifest(**second)
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(folder, f"{_MANIFEST} is not readable") from None


def backups_in(folder: Path) -> list[Path]:
    """The complete backups in a folder, newest first. Raises UsageError if there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: folder not found")
    found = (path for path in folder.iterdir() if path.name.startswith(PREFIX) and path.is_dir())
    return sorted(found, reverse=True)


def stored_file(path: Path) -> StoredFile:
    """Size and checksum of a file. Raises OSError."""
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "blake2b").hexdigest()
        return StoredFile(os.fstat(file.fileno()).st_size, checksum)


def damage(folder: Path) -> list[str]:
    """What is wrong with a backup, one text per file; empty if it is good. Raises UsageError if the
    folder is no backup."""
    try:
        manifest = read_manifest(folder)
    except CorruptIndexError as error:
        return [str(error)]
    return _damaged_files(folder, manifest)


def _damaged_files(folder: Path, manifest: BackupManifest) -> list[str]:
    wrong = []
    for name, stated in manifest.files.items():
        try:
            found = stored_file(folder / name)
        except FileNotFoundError:
            wrong.append(f"{name} is missing")
        except OSError as error:
            wrong.append(f"{name} cannot be read ({error.strerror})")
        else:
            if found.bytes != stated.bytes:
                wrong.append(f"{name} has {found.bytes} bytes, not {stated.bytes}")
            elif found != stated:
                wrong.append(f"{name} does not match its checksum")
    return wrong


def check_intact(folder: Path) -> BackupManifest:
    """The description of a backup without damage. Raises CorruptIndexError that names what is damaged,
    UsageError."""
    manifest = read_manifest(folder)
    if wrong := _damaged_files(folder, manifest):
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise _damaged(folder, "; ".join(wrong[:3]) + more)
    return manifest


def _damaged(folder: Path, what: str) -> CorruptIndexError:
    return CorruptIndexError(f"{folder.name} is damaged: {what}; use another backup")


def _checksum_of(content: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
