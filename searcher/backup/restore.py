"""Restores a backup into a data folder.

Everything is made in `.restoring` in the data folder and moved up when it is complete; `storyhash.json`
last. If a restore is interrupted while it moves, no command takes the folder for a data folder: repeat
the restore with `--force`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

from common.atomic_write import private_folder, sync
from common.errors import DataFolderError, StorageError
from common.settings import Settings
from common.settings.data_folder import DATA_FOLDER_FILE
from common.state.files import FILES as STATE_FILES
from common.state.files import JOBS_FOLDER
from common.types import Embedding
from searcher.backup.embedding_file import read_embeddings
from searcher.backup.manifest import (
    CATALOGUE,
    JOBS_OWNER,
    PRODUCER,
    SECOND,
    SHARD,
    STATE,
    BackupManifest,
    check_intact,
)
from searcher.generations import generation_folder, make_current
from searcher.mirror.factory import open_mirror
from searcher.second_folder import second_folder, settings_of_second
from searcher.storage.data_dir import (
    REPLACED,
    RESTORING,
    FolderManifest,
    take_lock,
    write_manifest,
)
from searcher.storage.database import Database
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore

_LOCK = "lock"
# Written to the mirror at once.
_SEGMENTS_AT_ONCE = 1_000


def restore_backup(backup: Path, settings: Settings, *, force: bool = False) -> BackupManifest:
    """Restore a backup into the data folder of the settings, with the mirror or the Qdrant index that
    they name; its second index, if it has one, too. force: replace what is there.

    Raises CorruptIndexError if the backup is damaged, UsageError if it is none, DataFolderError if the
    data folder is used or not empty, StorageError; also DependencyError if Qdrant does not respond.
    """
    manifest = check_intact(backup)
    folder = settings.data_dir
    if backup.resolve().is_relative_to(folder.resolve()):
        raise DataFolderError(
            f"{backup} lies in the data folder {folder}, all of which would be replaced; move the backup "
            "to another folder"
        )
    try:
        private_folder(folder)
        with ExitStack() as opened:
            lock = take_lock(folder)
            if lock is None:
                holder = (folder / _LOCK).read_text().strip() or "unknown"
                raise DataFolderError(f"{folder} is in use by process {holder}; stop it first")
            opened.callback(lock.close)
            held = [path for path in folder.iterdir() if path.name not in (_LOCK, RESTORING)]
            if held and not force:
                raise DataFolderError(
                    f"{folder} is not empty; choose another folder with --data, or use --force to "
                    "replace all that is in it"
                )
            staging = folder / RESTORING
            shutil.rmtree(staging, ignore_errors=True)
            private_folder(staging)
            try:
                _write(backup, manifest, staging, settings, force=force)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
            _swap(folder, staging)
    except OSError as error:
        raise StorageError(
            f"{folder}: the backup could not be restored ({error.strerror or error}); free some disk "
            "space or correct the permissions, then repeat this with --force"
        ) from None
    return manifest


def _write(
    backup: Path, manifest: BackupManifest, staging: Path, settings: Settings, *, force: bool
) -> None:
    index = generation_folder(staging, manifest.generation)
    made = FolderManifest(manifest.profile, manifest.model_id, settings.searcher.store)
    _write_index(backup, manifest.embeddings_in(backup), made, index, settings, force=force)
    if manifest.second_opinion is not None:
        profile, model_id = manifest.second_opinion.profile, manifest.second_opinion.model_id
        own = settings_of_second(settings, profile)
        made = FolderManifest(profile, model_id, own.searcher.store)
        embeddings = manifest.embeddings_in(backup, SECOND)
        _write_index(backup / SECOND, embeddings, made, second_folder(index), own, force=force)
    for name, target in (
        (STATE, staging / STATE_FILES[0]),
        (PRODUCER, staging / PRODUCER),
        (JOBS_OWNER, staging / JOBS_FOLDER / "owner"),
    ):
        # Another database than the one in the backup is not changed.
        if (backup / name).exists() and not (name == STATE and settings.state.url is not None):
            private_folder(target.parent)
            shutil.copyfile(backup / name, target)
    if manifest.generation:
        make_current(staging, manifest.generation)
    for path in (*staging.rglob("*"), staging):
        sync(path)


def _write_index(
    backup: Path,
    embeddings: Sequence[Path],
    made: FolderManifest,
    index: Path,
    settings: Settings,
    *,
    force: bool,
) -> None:
    """Write one index of a backup into a folder. embeddings: its files of these. made: its description.
    settings: of this index."""
    private_folder(index)
    shutil.copyfile(backup / CATALOGUE, index / CATALOGUE)
    if (backup / SHARD).is_dir() and settings.searcher.backend == "faiss":
        shutil.copytree(backup / SHARD, index / SHARD)
    # Copied files need not be private where the backup lies.
    with closing(Database(index / CATALOGUE)) as database:
        rows = {row.video_id: row for row in VideoStore(database).all()}
    _write_vectors(embeddings, made.model_id, index, rows, settings, force=force)
    write_manifest(index, made)


def _write_vectors(
    embeddings: Sequence[Path],
    model_id: str,
    folder: Path,
    rows: dict[str, Video],
    settings: Settings,
    *,
    force: bool,
) -> None:
    """Write every segment of the catalogue's versions into the mirror, or into Qdrant as the index."""
    if settings.searcher.backend == "qdrant":
        # qdrant-client alone takes half a second.
        from searcher.qdrant.nodes import Nodes
        from searcher.qdrant.store import QdrantStore

        nodes = Nodes.connect(settings.qdrant)
        with closing(QdrantStore(nodes, settings.qdrant, settings.searcher, model_id)) as store:
            whole = [replace(row, state="ready") for row in rows.values() if row.version]
            wanted = {row.video_id: row.version for row in whole}
            taken = DataFolderError(
                f"{nodes.where} already has videos, or notes of deleted ones, in this collection; set "
                "STORYHASH_QDRANT__COLLECTION to another name"
            )
            # What an interrupted restore of this backup wrote may be there.
            if store.register.versions().items() - wanted.items():
                raise taken
            for batch in _batches(embeddings, rows):
                store.upsert(batch)
            store.show(whole)
            # The register never goes back to an older version, or before a deletion.
            if store.register.versions() != wanted:
                raise taken
        return
    mirror = open_mirror(folder, model_id, settings.searcher, settings.qdrant)
    with closing(mirror):
        if mirror.count():
            if not force:
                raise DataFolderError(
                    "the Qdrant collection is not empty; set STORYHASH_QDRANT__COLLECTION to another "
                    "name, or use --force to replace what it has"
                )
            for row, _ in list(mirror.videos()):
                mirror.delete_video(row["video_id"])
        for batch in _batches(embeddings, rows):
            mirror.upsert(batch, rows)
        mirror.flush()


def _batches(files: Sequence[Path], rows: dict[str, Video]) -> Iterator[list[Embedding]]:
    versions = {row.video_id: row.version for row in rows.values()}
    current = (
        one
        for path in files
        for one in read_embeddings(path)
        if versions.get(one.ref.video_id) == one.ref.version
    )
    while batch := list(islice(current, _SEGMENTS_AT_ONCE)):
        yield batch


def _swap(folder: Path, staging: Path) -> None:
    """Move what is there aside, the new files up, and delete the old ones."""
    old = folder / REPLACED
    shutil.rmtree(old, ignore_errors=True)
    old.mkdir()
    # The description goes first and comes last: without it nothing here counts as an index.
    for path in sorted(folder.iterdir(), key=lambda path: path.name != DATA_FOLDER_FILE):
        if path.name not in (_LOCK, RESTORING, REPLACED):
            path.rename(old / path.name)
    for path in sorted(staging.iterdir(), key=lambda path: path.name == DATA_FOLDER_FILE):
        path.rename(folder / path.name)
    staging.rmdir()
    shutil.rmtree(old)
    sync(folder)
