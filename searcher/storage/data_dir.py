"""A data folder: its manifest and its lock."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from common.atomic_write import make_private, private_folder, replacing
from common.errors import DataFolderError, ModelMismatchError, StorageError
from common.settings.data_folder import DATA_FOLDER_FILE
from common.state.files import FILES as STATE_FILES
from common.state.files import JOBS_FOLDER
from common.work_in_progress import FOLDER as IN_HAND_FOLDER

_FORMAT = 1
# Where a restore makes a folder, and where it puts what was there before.
RESTORING, REPLACED = ".restoring", ".replaced"
# What may lie in a folder before an index does: a producer's ledger, other generations, and what is left
# by a process that was killed as it made the folder.
_OURS = (
    frozenset(
        {"generations", "current-generation", "producer.lock", "lock", IN_HAND_FOLDER, JOBS_FOLDER}
    )
    | {f"{name}.new" for name in ("current-generation", DATA_FOLDER_FILE)}
    | {f"producer.sqlite{tail}" for tail in ("", "-wal", "-shm", "-journal")}
    | set(STATE_FILES)
)


@dataclass(frozen=True, slots=True)
class FolderManifest:
    """The model and settings of a data folder; fixed at its creation."""

    profile: str
    model_id: str
    mirror: str = "edge"


def read_manifest(folder: Path) -> FolderManifest | None:
    """The manifest of the folder, or None if it has no index. Raises DataFolderError."""
    path = folder / DATA_FOLDER_FILE
    try:
        text = path.read_text()
    except FileNotFoundError:
        if (folder / RESTORING).is_dir():
            raise DataFolderError(
                f"a restore into {folder} was interrupted; run `storyhash snapshot restore` again with "
                "--force"
            ) from None
        if folder.is_dir() and any(path.name not in _OURS for path in folder.iterdir()):
            raise DataFolderError(
                f"{folder} is not empty and not a StoryHash data folder; choose another with --data"
            ) from None
        return None
    except OSError as error:
        raise DataFolderError(f"{path}: {error.strerror}; choose another with --data") from None
    try:
        stored = json.loads(text)
        if stored["format"] != _FORMAT:
            raise DataFolderError(
                f"{folder} has format {stored['format']}, this version reads {_FORMAT}; "
                "use the version that made it, or index again into another folder"
            )
        return FolderManifest(stored["profile"], stored["model_id"], stored["mirror"])
    except (ValueError, KeyError, TypeError):
        raise DataFolderError(
            f"{path} is damaged; restore it from a backup, or index again into another folder"
        ) from None


def require_manifest(folder: Path) -> FolderManifest:
    """The manifest of the folder. Raises DataFolderError if it has no index."""
    stored = read_manifest(folder)
    if stored is None:
        raise DataFolderError(
            f"there is no index in {folder}; make one with: storyhash index PATH --data {folder}"
        )
    return stored


def check_same(folder: Path, stored: FolderManifest | None, wanted: FolderManifest) -> None:
    """Raises ModelMismatchError or DataFolderError unless the folder is new or has the same manifest."""
    if stored is None:
        return
    if stored.mirror != wanted.mirror:
        raise DataFolderError(
            f"{folder} has its vectors mirrored by {stored.mirror}, not by {wanted.mirror}; "
            f"set {_store_setting(stored.mirror)}, or use --data for another folder"
        )
    if stored.model_id != wanted.model_id:
        if stored.profile == wanted.profile:
            # The same name, but other weights or settings.
            way_out = "index its videos again: storyhash index PATH --data NEW_FOLDER"
        else:
            way_out = f"use --data for another folder, or --profile {stored.profile}"
        raise ModelMismatchError(
            f"{folder} was made with {stored.model_id} (profile {stored.profile}), not with "
            f"{wanted.model_id}; {way_out}"
        )


def _store_setting(store: str) -> str:
    if store == "qdrant":
        return "STORYHASH_SEARCHER__BACKEND=qdrant"
    return f"STORYHASH_SEARCHER__BACKEND=faiss and STORYHASH_SEARCHER__MIRROR={store}"


def take_lock(folder: Path) -> IO[str] | None:
    """The folder's lock, held until the file is closed or the process ends; None if it is taken."""
    file = (folder / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    # Whoever is refused reads the number. Where there is no room for it the lock holds all the same.
    with suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"{os.getpid()}\n".encode())
    return file


def check_lock(folder: Path, lock: IO[str]) -> None:
    """Raises DataFolderError if the folder's lock is another file than the one that was taken: what is
    written now would be lost with the old folder, or mixed with what lies in the new one."""
    try:
        is_same = os.path.samestat(os.fstat(lock.fileno()), (folder / "lock").stat())
    except (FileNotFoundError, NotADirectoryError):
        is_same = False
    except (OSError, ValueError):
        # A disk that does not answer says nothing about the folder; nor does an index that is closed.
        return
    if not is_same:
        raise DataFolderError(
            f"{folder} was moved, deleted or replaced, or its file `lock` was, while this process used "
            "it; it stops, so that nothing is written into another folder. Start it again"
        )


def claim_folder(folder: Path, manifest: FolderManifest) -> IO[str]:
    """Make the folder where there is none, for this user alone, and take its lock.

    Raises DataFolderError while another process writes, ModelMismatchError when the folder holds another
    model's vectors, StorageError.
    """
    stored = read_manifest(folder)
    check_same(folder, stored, manifest)
    try:
        private_folder(folder)
        lock = take_lock(folder)
        if lock is None:
            holder = (folder / "lock").read_text().strip() or "unknown"
            raise DataFolderError(
                f"{folder} is in use by process {holder}; wait for it, or stop it. If it is a service, "
                "use `storyhash videos add` or `storyhash videos delete` with --server"
            )
        if stored is None:
            try:
                write_manifest(folder, manifest)
            except BaseException:
                lock.close()
                raise
        # A restore that was killed may have left what it replaced.
        for left in (RESTORING, REPLACED):
            shutil.rmtree(folder / left, ignore_errors=True)
        # An earlier release made what lies here as readable as anything else of the user.
        make_private([folder, *folder.rglob("*")])
    except OSError as error:
        raise StorageError(
            f"{folder}: {error.strerror}; choose another folder with --data"
        ) from None
    return lock


def write_manifest(folder: Path, manifest: FolderManifest) -> None:
    """Write it durably and atomically."""
    path = folder / DATA_FOLDER_FILE
    content = {"format": _FORMAT, **asdict(manifest)}
    with replacing(path) as temporary, temporary.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
