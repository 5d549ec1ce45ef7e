"""Settings of the index and of Qdrant, which mirrors it."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from common.settings.group import SettingsGroup
from common.uris import without_passwords


class SearcherSettings(SettingsGroup):
    """The FAISS index, its snapshots and its mirror."""

    backend: Literal["faiss", "qdrant"] = Field(
        "faiss",
        description="Search engine that answers queries: faiss (in the memory of this machine) or qdrant "
        "(a Qdrant server or cluster, which any number of searchers share).",
    )
    read_only: bool = Field(
        False,
        description="Only with the backend qdrant: `serve` and `search` only answer. They index nothing, "
        "and need neither a data folder nor Kafka.",
    )
    hnsw_m: int = Field(16, ge=4, description="Links per node of the HNSW graph.")
    ef_construction: int = Field(
        200, ge=8, description="Number of candidates kept while a node is added to the HNSW graph."
    )
    recall_target: float = Field(
        0.995,
        gt=0,
        le=1,
        description="Recall@10 that searches should reach. The searcher keeps the smallest number of "
        "candidates that reaches it on a sample of the index.",
    )
    ef_search: int | None = Field(
        None,
        ge=1,
        description="Number of candidates kept while the HNSW graph is searched (default: chosen by "
        "the recall target).",
    )
    quantization: Literal["none", "float16", "int8"] = Field(
        "none",
        description="Compression of the vectors in memory: none (float32), float16 (half) or int8 (a "
        "quarter). The exact vectors are then in a temporary file (in TMPDIR), and each search compares "
        "its candidates with them.",
    )
    delta_rows: int = Field(
        500,
        ge=1,
        description="Number of new vectors that are searched exactly before they are merged into the "
        "HNSW graph.",
    )
    delta_ratio: float = Field(
        0.004,
        gt=0,
        lt=1,
        description="Only with `quantization`: new vectors are merged into a small HNSW graph first. It "
        "is merged into the large graph when it has this fraction of that graph's vectors, and at least "
        "16,384.",
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

    @model_validator(mode="after")
    def _read_only_needs_qdrant(self) -> SearcherSettings:
        if self.read_only and self.backend != "qdrant":
            raise ValueError("read_only: expected the backend qdrant")
        return self

    @property
    def store(self) -> str:
        """Where vectors are stored durably, as the manifest of a data folder says it."""
        return "qdrant" if self.backend == "qdrant" else self.mirror


class QdrantSettings(SettingsGroup):
    """A Qdrant server or cluster, used when `searcher.backend` is `qdrant` or `searcher.mirror` is
    `server`."""

    url: str = Field(
        "http://127.0.0.1:6333",
        description="REST address of the Qdrant server, or of all nodes of a cluster, separated by "
        "commas. The default port is 6333.",
    )
    api_key: SecretStr | None = Field(
        None, description="API key of the Qdrant server (default: none)."
    )
    collection: str = Field(
        "storyhash",
        description="Collection of the mirror. With the backend qdrant, prefix of the names of the "
        "collections.",
    )
    timeout_seconds: float = Field(
        10.0,
        gt=0,
        description="Maximum seconds to wait for a response. A read waits for one node this long "
        "divided by the number of nodes.",
    )
    shard_number: int | None = Field(
        None, ge=1, description="Shards of a new collection (default: one per node)."
    )
    replication_factor: int = Field(
        2,
        ge=1,
        description="Copies of each shard of a new collection, each on another node. A single node has "
        "one copy.",
    )
    write_consistency_factor: int = Field(
        1,
        ge=1,
        description="Copies that must confirm a write in a new collection. With 1 nothing is lost, "
        "because a copy that fails is set aside before the write counts as done. With more, writes may "
        "fail while a node is down.",
    )
    read_consistency: Literal["one", "quorum", "majority", "all"] = Field(
        "one",
        description="Copies of a shard that must agree on an answer to a search. With more than one, "
        "searches may fail while a node is down.",
    )
    quantization: Literal["none", "int8"] = Field(
        "none",
        description="Compression of the vectors in the graph of a new collection: none (float32) or int8 "
        "(a quarter of the memory; the best hits are compared exactly).",
    )
    on_disk: bool = Field(
        True,
        description="A new collection reads vectors from disk through the page cache, instead of keeping "
        "all of them in memory.",
    )
    batch_points: int = Field(500, ge=1, le=10_000, description="Maximum segments per write.")
    batch_queries: int = Field(32, ge=1, le=1000, description="Maximum query vectors per request.")
    requests_in_flight: int = Field(
        4,
        ge=1,
        le=64,
        description="Maximum concurrent searches, and maximum concurrent writes.",
    )

    @field_validator("url")
    @classmethod
    def _some_url(cls, url: str) -> str:
        if not _split(url):
            raise ValueError("expected at least one address")
        for one in _split(url):
            _check_address(one)
        return url

    @property
    def urls(self) -> list[str]:
        """The addresses of the nodes."""
        return _split(self.url)


def _split(url: str) -> list[str]:
    return list(dict.fromkeys(part.strip().rstrip("/") for part in url.split(",") if part.strip()))


def _check_address(url: str) -> None:
    """Raises ValueError for what is not the address of an HTTP server."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        usable = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not parts.netloc.endswith(":")
        )
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"expected addresses as http://host:6333, got {without_passwords(url)}")
