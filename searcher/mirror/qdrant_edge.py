"""Qdrant's embedded engine: a mirror in a folder, for one process on one machine."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import qdrant_edge as edge

from common.atomic_write import private_folder
from common.errors import CorruptIndexError, DataFolderError, ModelMismatchError, StorageError
from common.types import GRAPH_DIMENSION, VECTOR_DIMENSION, Embedding
from searcher.mirror.base import NO_VIDEOS, counted, keepers
from searcher.mirror.embedding_batch import Columns
from searcher.qdrant.payload import FRAMES_FIELD, GRAPH_NAME, VECTOR_NAME, to_embedding, to_payload
from searcher.storage.data_dir import take_lock
from searcher.storage.video import Video

_BATCH = 500
# The engine writes through memory maps of sparse files, and a full disk kills a process that does: no
# write begins with less room than this.
_MIN_FREE_BYTES = 64 << 20
# To delete, it changes what is there. Deleting must be possible on a disk that is almost full.
_MIN_FREE_TO_DELETE_BYTES = 4 << 20
_LOCK_SECONDS = 10.0
_MODEL_FILE = "model.json"
_BUT_FRAMES = edge.PayloadSelector.Exclude([FRAMES_FIELD])


class QdrantEmbeddedMirror:
    """A folder of Qdrant Edge. One process may hold it open."""

    def __init__(self, folder: Path, model_id: str) -> None:
        """Open the folder, or create it. It waits if a killed process still holds the lock.

        Raises DataFolderError if another process uses it, ModelMismatchError if it has another model's
        vectors, CorruptIndexError if it cannot be opened, StorageError if it cannot be written.
        """
        self.model_id = model_id
        self._folder = folder
        try:
            private_folder(folder)
            self._lock = _locked(folder)
        except OSError as error:
            raise self._refusal(error) from None
        try:
            _check_model(folder / _MODEL_FILE, model_id)
            self._shard = self._open(folder / "shard")
        except BaseException as error:
            self._lock.close()
            if isinstance(error, OSError):
                raise self._refusal(error) from None
            raise

    def _refusal(self, error: OSError) -> StorageError:
        return StorageError(f"{self._folder}: {error.strerror}; the mirror cannot be kept")

    def _open(self, folder: Path) -> Any:
        # Opening writes, too.
        self._check_writable()
        try:
            if (folder / "edge_config.json").exists():
                return edge.EdgeShard.load(str(folder))
            return _create(folder)
        except Exception as error:
            # The engine raises nothing more precise than Exception.
            raise CorruptIndexError(
                f"{self._folder}: the mirror cannot be opened ({error}); restore the folder from a "
                "backup, or delete the data folder and index again"
            ) from None

    def upsert(
        self, embeddings: Sequence[Embedding], videos: Mapping[str, Video] = NO_VIDEOS
    ) -> None:
        self.write(Columns.of(embeddings), videos)

    def write(self, columns: Columns, videos: Mapping[str, Video]) -> None:
        """As `upsert`."""
        refs, frames = columns.refs, columns.frames_of_each()
        rows = keepers(refs, videos)
        for start in range(0, len(refs), _BATCH):
            points = []
            for at in range(start, min(start + _BATCH, len(refs))):
                ref = refs[at]
                # The engine's types know lists alone, and it takes whatever has numbers.
                vector: Any = memoryview(columns.vectors[at])
                graph: Any = memoryview(columns.graphs[at])
                payload = to_payload(
                    ref, columns.informative[at], columns.model_ids[at], frames[at], rows.get(ref)
                )
                named = {VECTOR_NAME: vector, GRAPH_NAME: graph}
                points.append(edge.Point(ref.point_id, named, payload))
            self._update(edge.UpdateOperation.upsert_points(points))

    def delete_video(self, video_id: str, *, keep_version: int | None = None) -> None:
        must = [_is("video_id", video_id)]
        spared = [] if keep_version is None else [_is("version", keep_version)]
        self._update(
            edge.UpdateOperation.delete_points_by_filter(edge.Filter(must=must, must_not=spared)),
            _MIN_FREE_TO_DELETE_BYTES,
        )

    def flush(self) -> None:
        try:
            self._shard.flush()
        except Exception as error:
            raise StorageError(f"the mirror could not be flushed to disk ({error})") from None

    def count(self) -> int:
        return self._shard.count(edge.CountRequest(exact=True))

    def scan(
        self, video_ids: Sequence[str] | None = None, batch: int = 1000
    ) -> Iterator[list[Embedding]]:
        offset: Any = None
        while True:
            found, offset = self.page(video_ids, batch, offset)
            if found:
                yield found
            if offset is None:
                return

    def page(
        self, video_ids: Sequence[str] | None, batch: int, offset: Any
    ) -> tuple[list[Embedding], Any]:
        """A page of `scan`, and the offset of the next page; None before the first and after the last."""
        only = None if video_ids is None else edge.Filter(must=[_is_one_of("video_id", video_ids)])
        records, following = self._scroll(only, batch, offset, whole=True)
        found = [to_embedding(_held(one.payload), _held(one.vector)) for one in records]
        return found, following

    def videos(self) -> Iterator[tuple[dict[str, Any], int]]:
        yield from counted(self._payloads())

    def _payloads(self) -> Iterator[dict[str, Any]]:
        offset: Any = None
        while True:
            records, offset = self._scroll(None, 1000, offset, whole=False)
            yield from (_held(record.payload) for record in records)
            if offset is None:
                return

    def _scroll(
        self, only: Any, batch: int, offset: Any, *, whole: bool
    ) -> tuple[Sequence[Any], Any]:
        """whole: with what is large of a point."""
        found: tuple[Sequence[Any], Any] = self._shard.scroll(
            edge.ScrollRequest(
                offset=offset,
                limit=batch,
                filter=only,
                with_payload=whole or _BUT_FRAMES,
                with_vector=whole,
            )
        )
        return found

    def close(self) -> None:
        self._shard.close()
        self._lock.close()

    def _check_writable(self, min_free_bytes: int = _MIN_FREE_BYTES) -> None:
        """Raises StorageError if a write would crash the process or look like damage."""
        if not os.access(self._folder, os.W_OK):
            raise StorageError(
                f"{self._folder}: the mirror cannot be written; mend its permissions or the disk, then "
                "run the same command again"
            )
        free = shutil.disk_usage(self._folder).free
        if free < min_free_bytes:
            raise StorageError(
                f"{self._folder}: {free >> 20} MiB are free on the disk and {min_free_bytes >> 20} are "
                "needed; free some disk space and run the same command again"
            )

    def _update(self, operation: Any, min_free_bytes: int = _MIN_FREE_BYTES) -> None:
        self._check_writable(min_free_bytes)
        try:
            self._shard.update(operation)
        except Exception as error:
            raise StorageError(
                f"the mirror refused a write ({error}); free some disk space and run the same "
                "command again"
            ) from None


def _locked(folder: Path) -> IO[str]:
    """The folder's lock. A process that dies with its parent does so a moment after it, and must not
    write beside its successor."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        lock = take_lock(folder)
        if lock is not None:
            return lock
        if time.monotonic() > deadline:
            holder = (folder / "lock").read_text().strip() or "unknown"
            raise DataFolderError(f"{folder} is in use by process {holder}; wait for it, or end it")
        time.sleep(0.02)


def _create(folder: Path) -> Any:
    private_folder(folder)
    vectors = {
        VECTOR_NAME: edge.EdgeVectorParams(VECTOR_DIMENSION, edge.Distance.Dot, on_disk=True),
        GRAPH_NAME: edge.EdgeVectorParams(GRAPH_DIMENSION, edge.Distance.Dot, on_disk=True),
    }
    shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors, on_disk_payload=True))
    # Deleting a video looks its points up by this field.
    shard.update(
        edge.UpdateOperation.create_field_index("video_id", edge.PayloadSchemaType.Keyword)
    )
    return shard


def _check_model(path: Path, model_id: str) -> None:
    if not path.exists():
        path.write_text(json.dumps({"model_id": model_id}))
        return
    held = json.loads(path.read_text())["model_id"]
    if held != model_id:
        raise ModelMismatchError(
            f"{path.parent} mirrors vectors of {held}, not of {model_id}; use another data folder"
        )


def _held(part: Any) -> dict[str, Any]:
    """A part of a point that was asked for, so that it is there, as the engine's types cannot say."""
    return dict(part)


def _is(field: str, value: str | int) -> Any:
    return edge.FieldCondition(field, match=edge.MatchValue(value))


def _is_one_of(field: str, values: Iterable[str]) -> Any:
    return edge.FieldCondition(field, match=edge.MatchAny(sorted(values)))
