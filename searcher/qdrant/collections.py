"""Creates collections as the settings say."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from common.settings import QdrantSettings
from common.types import GRAPH_DIMENSION, VECTOR_DIMENSION
from searcher.mirror.base import GRAPH_NAME, VECTOR_NAME
from searcher.qdrant.nodes import Nodes

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
    indexes: Mapping[str, models.PayloadSchemaType],
    **options: Any,
) -> None:
    """Create a collection and the indexes of the payload fields that filters use; nothing is changed if
    another process has just created it. options: of `QdrantClient.create_collection`, instead of what
    the settings say. Raises DependencyError."""
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
            if status not in (_CONFLICT, _BAD_REQUEST) or not client.collection_exists(name):
                raise

    nodes.ask(create)
    with warnings.catch_warnings():
        # Local mode has no indexes, and warns of it.
        warnings.simplefilter("ignore", UserWarning)
        for field, kind in indexes.items():
            nodes.ask(
                partial(
                    QdrantClient.create_payload_index,
                    collection_name=name,
                    field_name=field,
                    field_schema=kind,
                )
            )


def _quantization(settings: QdrantSettings) -> models.ScalarQuantization | None:
    if settings.quantization == "none":
        return None
    return models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    )
