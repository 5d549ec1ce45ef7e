"""Makes a backup of an open index and of what is kept beside it, while both are used.

1. The embeddings of the catalogue are written, without a lock.
2. Under the index's lock, so at one moment: the databases are copied, the shard is frozen, and the
   embeddings of videos that changed since step 1 are read.
3. These are written, with the frozen shard; what step 1 wrote of replaced and deleted videos is removed.
4. The second index, if there is one, is backed up in the same way. It may have changes that came later:
   it follows the first one, and does not answer about a video that differs.
5. The description is written, and the folder gets its name. Until then it counts for nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from common.atomic_write import private_folder, sync
from common.errors import CancelledError, StorageError
from common.sqlite import copy_database
from common.state.files import FILES as STATE_FILES
from common.state.files import JOBS_FOLDER
from searcher.backup.embedding_file import read_embeddings, write_embeddings
from searcher.backup.manifest import (
    CATALOGUE,
    EMBEDDINGS,
    JOBS_OWNER,
    PREFIX,
    PRODUCER,
    SECOND,
    SHARD,
    STATE,
    STATE_DUMP,
    BackupManifest,
    SecondManifest,
    StateDatabaseKind,
    backups_in,
    stored_file,
    write_manifest,
)
from searcher.storage.database import Database
from searcher.storage.video import Video, now
from searcher.storage.video_store import VideoStore
from searcher.video_index import VideoIndex

# Segments per file, and so in memory at once; a single video may have more.
_SEGMENTS_AT_ONCE = 5_000
# Videos that are asked for in one query.
_VIDEOS_AT_ONCE = 100
# Id and version of a video.
_Version: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Source:
    """What a backup is made of. data_dir: with the state and the generations; the index may lie in a
    folder of it. state_is_elsewhere: it is in a PostgreSQL database. dump_state: writes this database to
    a file; false if it cannot, so that the backup is without it. second: the second index."""

    index: VideoIndex
    data_dir: Path
    generation: str
    state_is_elsewhere: bool
    dump_state: Callable[[Path], bool] = lambda _: False
    second: VideoIndex | None = None


def create_backup(
    source: Source,
    target: Path,
    *,
    name: str = "",
    keep: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Make a backup in the folder `target` and return its own folder. name: of this folder (default:
    `new_name`). keep: how many complete backups stay there (default: all). stop: whether to give up.

    Raises StorageError if it cannot be written, StateError if a PostgreSQL database cannot be dumped,
    CancelledError.
    """
    try:
        private_folder(target)
        for left in target.glob(f".{PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        name = name or new_name(target)
        partial = target / f".{name}.partial"
        try:
            partial.mkdir()
            _write(source, partial, stop)
            partial.rename(target / name)
            sync(target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        raise StorageError(
            f"{target}: the backup could not be written ({error.strerror or error}); older backups are "
            "kept; free some disk space, or correct the permissions"
        ) from None
    for old in backups_in(target)[keep:] if keep else ():
        shutil.rmtree(old, ignore_errors=True)
    return target / name


def _write(source: Source, folder: Path, stop: Callable[[], bool]) -> None:
    index, second = source.index, source.second
    copied = _write_index(index, folder, stop, lambda: _copy_beside(source, folder))
    second_manifest = None
    if second is not None:
        private_folder(folder / SECOND)
        rows = _write_index(second, folder / SECOND, stop, lambda: "none").rows
        second_manifest = SecondManifest(
            second.manifest.profile, second.manifest.model_id, _whole(rows), _segments(rows)
        )
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        files[path.relative_to(folder).as_posix()] = stored_file(path)
        sync(path)
    for path in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
        sync(path)
    manifest = BackupManifest(
        now("seconds"),
        version("storyhash"),
        index.manifest.profile,
        index.manifest.model_id,
        source.generation,
        _whole(copied.rows),
        _segments(copied.rows),
        copied.offsets,
        copied.state,
        files,
        sum(index.uploads.holds(row.uri) for row in copied.rows),
        second_manifest,
    )
    write_manifest(folder, manifest)


def _whole(rows: Sequence[Video]) -> int:
    return sum(row.version > 0 for row in rows)


def _segments(rows: Sequence[Video]) -> int:
    return sum(row.segments for row in rows)


@dataclass(frozen=True, slots=True)
class _CopiedIndex:
    """rows: of the catalogue that was copied. offsets, state: of the same moment."""

    rows: list[Video]
    offsets: dict[str, int]
    state: StateDatabaseKind


def _write_index(
    index: VideoIndex,
    folder: Path,
    stop: Callable[[], bool],
    copy_beside: Callable[[], StateDatabaseKind],
) -> _CopiedIndex:
    """Write one index into a folder. copy_beside: copies, at the same moment, what is kept beside it."""
    if index.videos.unpurged():
        index.finish_deletions()
    writer = _EmbeddingWriter(index, folder / EMBEDDINGS, stop)
    writer.write(list(index.videos.all()))
    with index.changing:
        if index.videos.unpurged():
            index.finish_deletions()
        copy_database(index.folder / CATALOGUE, folder / CATALOGUE)
        state = copy_beside()
        write_shard = index.freeze_shard()
        with closing(Database(folder / CATALOGUE, read_only=True)) as database:
            rows = list(VideoStore(database).all())
        offsets = {str(part): at for part, at in index.staging.offsets().items()}
        # Only what has changed since it was written, so the lock is held for a short time.
        writer.write(rows)
    if write_shard is not None:
        private_folder(folder / SHARD)
        write_shard(folder / SHARD)
    writer.remove_all_but(rows)
    return _CopiedIndex(rows, offsets, state)


def _copy_beside(source: Source, folder: Path) -> StateDatabaseKind:
    """Copy the databases beside the index. Uploads of jobs are not kept; their jobs fail and say so."""
    producer = source.data_dir / PRODUCER
    if producer.exists():
        copy_database(producer, folder / PRODUCER)
    owner = source.data_dir / JOBS_FOLDER / "owner"
    if owner.exists():
        shutil.copyfile(owner, folder / JOBS_OWNER)
    if source.state_is_elsewhere:
        return "postgresql_dump" if source.dump_state(folder / STATE_DUMP) else "postgresql"
    state = source.data_dir / STATE_FILES[0]
    if not state.exists():
        return "none"
    copy_database(state, folder / STATE)
    return "sqlite"


class _EmbeddingWriter:
    """Writes the embeddings of videos, each version once."""

    def __init__(self, index: VideoIndex, folder: Path, stop: Callable[[], bool]) -> None:
        self._index = index
        self._folder = folder
        self._stop = stop
        # By video: the version and the number of segments that were written.
        self._written: dict[str, tuple[int, int]] = {}
        self._files: dict[Path, set[_Version]] = {}
        private_folder(folder)

    def write(self, rows: Sequence[Video]) -> None:
        """Write what is not written yet of these videos. A video that lacks segments in the index, as
        after an interrupted change, is written as it is."""
        new = [
            row
            for row in rows
            if row.version and self._written.get(row.video_id) != (row.version, row.segments)
        ]
        for some in _parts(new):
            if self._stop():
                raise CancelledError("the backup was given up, because the service stops")
            found = self._index.embeddings_of(some)
            embeddings = [one for row in some for one in found[row.video_id]]
            path = self._folder / f"{len(self._files):06d}"
            write_embeddings(path, embeddings)
            self._files[path] = {(one.ref.video_id, one.ref.version) for one in embeddings}
            for row in some:
                self._written[row.video_id] = row.version, len(found[row.video_id])

    def remove_all_but(self, rows: Sequence[Video]) -> None:
        """Remove versions that are not in these rows."""
        current = {(row.video_id, row.version) for row in rows}
        for path, versions in self._files.items():
            if versions <= current:
                continue
            # The late segments of a version are in a later file, the earlier ones in both.
            new = path.with_suffix(".new")
            write_embeddings(
                new,
                (
                    one
                    for one in read_embeddings(path)
                    if (one.ref.video_id, one.ref.version) in current
                ),
            )
            new.replace(path)


def _parts(rows: Sequence[Video]) -> Iterator[list[Video]]:
    part: list[Video] = []
    segments = 0
    for row in rows:
        full = segments + row.segments > _SEGMENTS_AT_ONCE or len(part) >= _VIDEOS_AT_ONCE
        if part and full:
            yield part
            part, segments = [], 0
        part.append(row)
        segments += row.segments
    if part:
        yield part


def new_name(target: Path) -> str:
    """A name for a backup in this folder; it sorts by time and is not taken."""
    base = f"{PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%S}"
    number = 0
    while (target / f"{base}.{number:03d}Z").exists():
        number += 1
    return f"{base}.{number:03d}Z"
