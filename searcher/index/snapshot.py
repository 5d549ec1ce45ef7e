"""Snapshots of the shard: written atomically and verified when loaded; the newest valid one is used.

A snapshot is a folder `snapshot-{sequence}` with the files of `snapshot_format` and `manifest.json`,
which has a checksum of each of them. A new snapshot is linked to the files of the one that it replaces,
and only what changed since then is written. The snapshots that are kept share no file, so damage to one
never reaches another.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.atomic_write import private_folder, sync
from common.errors import ModelMismatchError, StorageError
from common.settings import SearcherSettings
from searcher.index import old_snapshot
from searcher.index.shard import Shard
from searcher.index.snapshot_files import ReadFiles, WrittenFiles
from searcher.index.snapshot_format import read_shard, write_state

_FORMAT = 6
# Of format 5, each graph had all its links in one file.
_IN_PIECES = (5, _FORMAT)
_READ_FORMATS = (*old_snapshot.FORMATS, *_IN_PIECES)
_PREFIX = "snapshot-"


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """The description of a snapshot. sequence: number of changes of the index that it includes. offsets:
    log offset per partition."""

    sequence: int
    model_id: str
    rows: int
    offsets: dict[str, int]


@dataclass(frozen=True, slots=True)
class LoadedSnapshot:
    """A loaded shard; `refused` lists newer snapshots that were damaged, with the reason. path: the
    snapshot's folder, None if all were damaged."""

    shard: Shard
    info: SnapshotInfo
    refused: tuple[str, ...]
    path: Path | None = None


def save_snapshot(
    folder: Path, shard: Shard, info: SnapshotInfo, *, keep: int, intact: Collection[Path] = ()
) -> Path:
    """Write a snapshot and delete all but the newest `keep`. Returns its folder. intact: snapshots whose
    files this process has written or verified; a file of another one is verified before it is linked.
    Raises StorageError if the disk fails; then older snapshots are kept."""
    final = folder / f"{_PREFIX}{info.sequence:012d}"
    temporary = folder / f".{final.name}.{os.getpid()}"
    older = snapshots(folder)
    replaced = [path for path in older if path == final]
    replaced += [path for path in older if path != final][keep - 1 :]
    try:
        private_folder(folder)
        for left in folder.glob(f".{_PREFIX}*"):
            # Of a process that was killed; it may have what was deleted since.
            shutil.rmtree(left, ignore_errors=True)
        temporary.mkdir()
        _write(WrittenFiles(temporary, _files_of(replaced), intact), shard, info)
        _replace(temporary, final)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        # FAISS reports a full disk as a RuntimeError.
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else str(error).splitlines()[0]
        raise StorageError(
            f"{folder}: the snapshot could not be written ({reason}); older snapshots are "
            "kept; free some disk space and run the same command again"
        ) from None
    keep_newest(folder, keep)
    return final


def keep_newest(folder: Path, keep: int) -> None:
    """Delete all snapshots but the newest `keep`."""
    for old in snapshots(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)


def snapshots(folder: Path) -> list[Path]:
    """The folders of the snapshots, newest first."""
    if not folder.is_dir():
        return []
    return sorted(
        (path for path in folder.iterdir() if path.name.startswith(_PREFIX)), reverse=True
    )


def newest_sequence(folder: Path) -> int:
    """The highest sequence number of a snapshot, damaged or not; -1 if there is none."""
    numbers = (path.name.removeprefix(_PREFIX) for path in snapshots(folder))
    return max((int(number) for number in numbers if number.isdecimal()), default=-1)


def load_newest(folder: Path, settings: SearcherSettings, model_id: str) -> LoadedSnapshot | None:
    """The newest valid snapshot; None if there is no snapshot. If all are damaged, the shard is empty and
    its sequence is -1. Raises ModelMismatchError if it has vectors of another model."""
    refused: list[str] = []
    for path in snapshots(folder):
        try:
            info, shard = _read(path, settings)
        except (OSError, ValueError, LookupError, RuntimeError) as error:
            refused.append(f"{path.name} is damaged ({str(error).splitlines()[0][:160]})")
            continue
        if info.model_id != model_id:
            raise ModelMismatchError(
                f"{folder} has vectors of {info.model_id}, not of {model_id}; use another "
                "data folder"
            )
        return LoadedSnapshot(shard, info, tuple(refused), path)
    return (
        None
        if not refused
        else LoadedSnapshot(Shard(settings), SnapshotInfo(-1, model_id, 0, {}), tuple(refused))
    )


def _write(files: WrittenFiles, shard: Shard, info: SnapshotInfo) -> None:
    written = write_state(files, shard.export())
    manifest = {
        "format": _FORMAT,
        **asdict(info),
        **written,
        "written_bytes": files.written_bytes,
        "files": files.checksums,
    }
    manifest["checksum"] = manifest_checksum(manifest)
    (files.folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    for name in (*files.written, "manifest.json"):
        sync(files.folder / name)
    sync(files.folder)


def _files_of(folders: Sequence[Path]) -> dict[str, Path]:
    """The files of snapshots by the checksum that they should have."""
    found = {}
    for folder in folders:
        try:
            manifest = json.loads((folder / "manifest.json").read_text())
            found.update({checksum: folder / name for name, checksum in manifest["files"].items()})
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            # A damaged snapshot has nothing to link to.
            continue
    return found


def _read(folder: Path, settings: SearcherSettings) -> tuple[SnapshotInfo, Shard]:
    manifest = json.loads((folder / "manifest.json").read_text())
    stated = manifest.pop("checksum")
    if stated != manifest_checksum(manifest):
        raise ValueError("manifest.json does not match its checksum")
    if manifest["format"] not in _READ_FORMATS:
        raise ValueError(f"format {manifest['format']}, this version reads {_READ_FORMATS}")
    files = ReadFiles(folder, manifest["files"])
    info = SnapshotInfo(
        manifest["sequence"], manifest["model_id"], manifest["rows"], manifest["offsets"]
    )
    read = read_shard if manifest["format"] in _IN_PIECES else old_snapshot.read_old_shard
    return info, read(files, manifest, settings)


def _replace(temporary: Path, final: Path) -> None:
    """Move a complete folder to its final name, durably. An existing one is replaced; a crash may leave
    it under a hidden name."""
    replaced = final.with_name(f".{final.name}.replaced")
    if final.exists():
        final.rename(replaced)
    temporary.rename(final)
    sync(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def manifest_checksum(manifest: dict[str, Any]) -> str:
    text = json.dumps(manifest, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
