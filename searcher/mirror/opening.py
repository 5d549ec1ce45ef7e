"""Which mirror a data folder has, by the settings."""

from __future__ import annotations

from pathlib import Path

from common.settings import QdrantSettings, SearcherSettings
from searcher.mirror.base import Mirror
from searcher.mirror.qdrant_client import QdrantClientMirror
from searcher.mirror.qdrant_embedded import QdrantEmbeddedMirror


def open_mirror(
    folder: Path, model_id: str, searcher: SearcherSettings, qdrant: QdrantSettings
) -> Mirror:
    """Open the mirror of a data folder, or make it. Raises what the mirror's own opening does."""
    if searcher.mirror == "server":
        return QdrantClientMirror.server(qdrant, model_id)
    if searcher.mirror == "local":
        return QdrantClientMirror.local(folder / "mirror-local", model_id)
    return QdrantEmbeddedMirror(folder / "mirror", model_id)
