"""Creates collections as the settings say, and checks those that are there."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeGuard

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from common.errors import ModelMismatchError
from common.settings import QdrantSettings
from common.types import GRAPH_DIMENSION, VECTOR_DIMENSION
from searcher.qdrant.nodes import Nodes
from searcher.qdrant.payload import GRAPH_NAME, VECTOR_NAME

_CONFLICT, _BAD_REQUEST = 409, 400


def vector_params(settings: QdrantSettings) -> dict[str, models.VectorParams]:
    """The vectors of a segment: the fused one, which is searched, and that of its scene graph."""
    return {
        VECTOR_NAME: models.VectorParams(
            size=VECTOR_DIMENSION, distance=models.Distance.DOT, on_disk=settings.on_disk
        ),
        # Never searched, so it needs no graph.
        GRAPH_NAME: models.VectorParams(
            size=GRAPH_DIMENSION,
            distance=models.Distance.DOT,
            on_disk=True,
            hnsw_config=models.HnswConfigDiff(m=0),
        ),
    }


def create_collection(
    nodes: Nodes,
    name: str,
    settings: QdrantSettings,
    vectors: Mapping[str, models.VectorParams],
    **options: Any,
) -> None:
    """Create a collection; nothing is changed if another process has just created it. options: of
    `QdrantClient.create_collection`, instead of what the settings say. Raises DependencyError."""
    all_options: dict[str, Any] = {
        "shard_number": settings.shard_number,
        "replication_factor": settings.replication_factor,
        "write_consistency_factor": settings.write_consistency_factor,
        "on_disk_payload": True,
        "quantization_config": _quantization(settings) if vectors else None,
    } | options

    def create(client: QdrantClient) -> None:
        try:
            client.create_collection(name, vectors_config=vectors, **all_options)
        except (UnexpectedResponse, ValueError) as error:
            # Of a server and of local mode: there is one of this name already.
            status = error.status_code if isinstance(error, UnexpectedResponse) else _CONFLICT
            # A node that was away may not know yet that it is there.
            there = status == _CONFLICT or (
                status == _BAD_REQUEST and client.collection_exists(name)
            )
            if not there:
                raise

    nodes.ask(create)


def check_collection(
    nodes: Nodes,
    name: str,
    vectors: Mapping[str, models.VectorParams],
    indexes: Mapping[str, models.PayloadSchemaType],
) -> models.CollectionInfo:
    """Check the vectors of a collection, and create the indexes of payload fields that it lacks: filters
    use them, and the process that created it may have crashed before. Returns what Qdrant knows of the
    collection. Raises ModelMismatchError for other vectors, DependencyError."""
    info = nodes.ask(lambda client: client.get_collection(name), reading=True)
    stored = info.config.params.vectors
    found = {field: _shape(params) for field, params in stored.items()} if _named(stored) else {}
    wanted = {field: _shape(params) for field, params in vectors.items()}
    if found != wanted:
        raise ModelMismatchError(
            f"{nodes.where}: collection {name} has vectors {found or 'without names'}, expected "
            f"{wanted}; set STORYHASH_QDRANT__COLLECTION to another name"
        )
    lacking = {field: kind for field, kind in indexes.items() if field not in info.payload_schema}
    with warnings.catch_warnings():
        # Local mode has no indexes, and warns of it.
        warnings.simplefilter("ignore", UserWarning)
        for field, kind in lacking.items():
            nodes.ask(
                partial(
                    QdrantClient.create_payload_index,
                    collection_name=name,
                    field_name=field,
                    field_schema=kind,
                )
            )
    return info


def differences(info: models.CollectionInfo, settings: QdrantSettings) -> list[str]:
    """The settings of new collections that this collection was not made with."""
    params = info.config.params
    vectors = params.vectors if _named(params.vectors) else {}
    quantized = info.config.quantization_config
    stored = {
        "SHARD_NUMBER": params.shard_number,
        "REPLICATION_FACTOR": params.replication_factor,
        "WRITE_CONSISTENCY_FACTOR": params.write_consistency_factor,
        "ON_DISK": vectors[VECTOR_NAME].on_disk if VECTOR_NAME in vectors else None,
        "QUANTIZATION": "none" if quantized is None else "int8",
    }
    wanted = {
        "SHARD_NUMBER": settings.shard_number,
        "REPLICATION_FACTOR": settings.replication_factor,
        "WRITE_CONSISTENCY_FACTOR": settings.write_consistency_factor,
        "ON_DISK": settings.on_disk,
        "QUANTIZATION": settings.quantization,
    }
    return [
        f"{name} {stored[name]} instead of {value}"
        for name, value in wanted.items()
        if None not in (value, stored[name]) and stored[name] != value
    ]


def _named(vectors: Any) -> TypeGuard[Mapping[str, models.VectorParams]]:
    return isinstance(vectors, Mapping)


def _shape(params: models.VectorParams) -> str:
    return f"{params.size} {params.distance.value}"


def _quantization(settings: QdrantSettings) -> models.ScalarQuantization | None:
    if settings.quantization == "none":
        return None
    return models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    )
