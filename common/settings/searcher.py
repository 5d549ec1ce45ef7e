"""Settings of the index and of Qdrant, which mirrors it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from common.settings.group import SettingsGroup


class SearcherSettings(SettingsGroup):
    """The FAISS index, its snapshots and its mirror."""

    backend: Literal["faiss"] = Field("faiss", description="Search engine that answers queries.")
    hnsw_m: int = Field(16, ge=4, description="Links per node of the HNSW graph.")
    ef_construction: int = Field(
        200, ge=8, description="Number of candidates kept while a node is added to the HNSW graph."
    )
    recall_target: float = Field(
        0.995,
        gt=0,
        le=1,
        description="Recall@10 that searches should reach. The number of candidates kept while the HNSW "
        "graph is searched is the smallest that reaches it on a sample of the index.",
    )
    ef_search: int | None = Field(
        None,
        ge=1,
        description="Number of candidates kept while the HNSW graph is searched (default: chosen by "
        "the recall target).",
    )
    delta_rows: int = Field(
        2_000,
        ge=1,
        description="Number of new vectors that are searched exactly before they are merged into the "
        "HNSW graph.",
    )
    delta_ratio: float = Field(
        0.004,
        gt=0,
        lt=1,
        description="The same limit as a fraction of the graph. The larger of the two applies, because "
        "a merge copies the whole graph.",
    )
    max_dead_ratio: float = Field(
        0.25, gt=0, lt=1, description="Fraction of deleted vectors at which the graph is rebuilt."
    )
    keep_snapshots: int = Field(
        2,
        ge=1,
        description="Number of snapshots to keep. An older one is used if the newest is damaged.",
    )
    mirror: Literal["edge", "server", "local"] = Field(
        "edge",
        description="Where vectors are stored durably: edge (Qdrant's embedded engine), server (a "
        "Qdrant server) or local (qdrant-client's local mode, for small catalogues only).",
    )


class QdrantSettings(SettingsGroup):
    """A Qdrant server, used when `searcher.mirror` is `server`."""

    url: str = Field("http://127.0.0.1:6333", description="REST address of the Qdrant server.")
    api_key: SecretStr | None = Field(
        None, description="API key of the Qdrant server (default: none)."
    )
    collection: str = Field("storyhash", description="Collection that mirrors the index.")
    timeout_seconds: float = Field(
        10.0, gt=0, description="Maximum seconds to wait for a response."
    )
