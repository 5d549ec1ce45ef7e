"""Opens the index of the search engine that the settings name."""

from __future__ import annotations

from pathlib import Path

from common.errors import UsageError
from common.settings import Settings
from searcher.local_index import LocalIndex
from searcher.mirror.factory import mirrored_model
from searcher.storage.data_dir import FolderManifest, read_manifest
from searcher.video_index import VideoIndex


def open_writer(
    folder: Path, manifest: FolderManifest, settings: Settings, *, answering: bool = False
) -> VideoIndex:
    """See `LocalIndex.open_writer`."""
    if settings.searcher.read_only:
        raise UsageError(
            "STORYHASH_SEARCHER__READ_ONLY is set: this process only answers; unset it to change the "
            "index"
        )
    if settings.searcher.backend == "qdrant":
        # Imported where it is used: qdrant-client alone takes half a second.
        from searcher.qdrant.index import QdrantIndex

        return QdrantIndex.open_writer(folder, manifest, settings)
    return LocalIndex.open_writer(folder, manifest, settings, answering=answering)


def open_reader(folder: Path, manifest: FolderManifest, settings: Settings) -> VideoIndex:
    """See `LocalIndex.open_reader`."""
    if settings.searcher.backend == "qdrant":
        from searcher.qdrant.index import QdrantIndex

        return QdrantIndex.open_reader(folder, manifest, settings)
    return LocalIndex.open_reader(folder, manifest, settings)


def stored_manifest(settings: Settings) -> FolderManifest | None:
    """The manifest of the data folder; without one, that of the index in Qdrant. None if there is no
    index. Raises DataFolderError, DependencyError."""
    held = read_manifest(settings.data_dir)
    if held is not None:
        return held
    if settings.searcher.backend != "qdrant":
        return None
    model_id = mirrored_model(settings.searcher, settings.qdrant)
    if model_id is None:
        return None
    return FolderManifest(model_id.rpartition("-")[0], model_id, settings.searcher.store)
