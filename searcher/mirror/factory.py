"""Opens the mirror of a data folder according to the settings."""

from __future__ import annotations

from pathlib import Path

from common.settings import QdrantSettings, SearcherSettings
from searcher.mirror.base import Mirror


def open_mirror(
    folder: Path,
    model_id: str,
    searcher: SearcherSettings,
    qdrant: QdrantSettings,
    *,
    answering: bool = False,
) -> Mirror:
    """Open the mirror of a data folder, or create it; answering: in a process whose queries must not wait
    for writes. Raises the errors of the mirror's constructor."""
    # Each engine is imported where it is used: qdrant-client alone takes half a second.
    if searcher.mirror == "edge":
        from searcher.mirror.compaction import finish_compaction

        finish_compaction(folder)
    if searcher.mirror == "edge" and answering:
        from searcher.mirror.subprocess_mirror import MirrorProcess

        return MirrorProcess(folder / "mirror", model_id)
    if searcher.mirror == "edge":
        from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror

        return QdrantEmbeddedMirror(folder / "mirror", model_id)
    from searcher.mirror.qdrant_client import QdrantClientMirror

    if searcher.mirror == "server":
        return QdrantClientMirror.server(qdrant, model_id)
    return QdrantClientMirror.local(folder / "mirror-local", model_id)


def mirrored_model(searcher: SearcherSettings, qdrant: QdrantSettings) -> str | None:
    """The model whose vectors a server's collection holds; None for an empty one and for mirrors that
    lie in the data folder. Raises DependencyError."""
    if searcher.backend == "qdrant":
        from searcher.qdrant.register import stored_model

        return stored_model(qdrant)
    if searcher.mirror != "server":
        return None
    from searcher.mirror.qdrant_client import mirrored_model as ask

    return ask(qdrant)
