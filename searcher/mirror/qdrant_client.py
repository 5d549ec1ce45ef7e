"""A mirror through Qdrant's client: a server or cluster, or the client's local mode in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from qdrant_client import QdrantClient, models

from common.errors import ModelMismatchError
from common.settings import QdrantSettings
from common.slices import slices
from common.types import Embedding
from searcher.mirror.base import NO_VIDEOS, counted, keepers
from searcher.qdrant.collections import check_collection, create_collection, vector_params
from searcher.qdrant.nodes import Node, Nodes
from searcher.qdrant.payload import FRAMES_FIELD, GRAPH_NAME, VECTOR_NAME, to_embedding, to_payload
from searcher.qdrant.points import any_of, equals
from searcher.storage.video import Video

_BUT_FRAMES = models.PayloadSelectorExclude(exclude=[FRAMES_FIELD])
# A cluster in strict mode refuses a filter on a field without an index.
_INDEXES = {
    "video_id": models.PayloadSchemaType.KEYWORD,
    "bank": models.PayloadSchemaType.KEYWORD,
    "version": models.PayloadSchemaType.INTEGER,
    "informative": models.PayloadSchemaType.INTEGER,
}


class QdrantClientMirror:
    """One collection. Every write is idempotent, and is retried if its result is unknown."""

    def __init__(
        self, nodes: Nodes, collection: str, model_id: str, settings: QdrantSettings | None = None
    ) -> None:
        """Open the collection, or create it.

        Raises ModelMismatchError if it has other vectors, or those of another model, DependencyError if
        the server does not answer.
        """
        self.model_id = model_id
        self._nodes = nodes
        self._collection = collection
        self._settings = settings or QdrantSettings()
        if not nodes.ask(lambda client: client.collection_exists(collection), reading=True):
            create_collection(nodes, collection, self._settings, vector_params(self._settings))
        check_collection(nodes, collection, vector_params(self._settings), _INDEXES)
        self._check_model()

    @classmethod
    def local(cls, folder: Path, model_id: str) -> QdrantClientMirror:
        """The client's own store in a folder: a few thousand vectors, one process."""
        return cls(Nodes.local(folder), "storyhash", model_id)

    @classmethod
    def server(cls, settings: QdrantSettings, model_id: str) -> QdrantClientMirror:
        """A server or a cluster."""
        return cls(Nodes.connect(settings), settings.collection, model_id, settings)

    def upsert(
        self, embeddings: Sequence[Embedding], videos: Mapping[str, Video] = NO_VIDEOS
    ) -> None:
        rows = keepers([one.ref for one in embeddings], videos)
        for some in slices(embeddings, self._settings.batch_points):
            points = [
                models.PointStruct(
                    id=one.ref.point_id,
                    vector={VECTOR_NAME: one.vector.tolist(), GRAPH_NAME: one.graph.tolist()},
                    payload=to_payload(
                        one.ref, one.informative, one.model_id, one.frames, rows.get(one.ref)
                    ),
                )
                for one in some
            ]
            self._write(points)

    def delete_video(self, video_id: str, *, keep_version: int | None = None) -> None:
        spared = [] if keep_version is None else [equals("version", keep_version)]
        gone = models.Filter(must=[equals("video_id", video_id)], must_not=spared)
        self._nodes.ask(
            lambda client: client.delete(
                self._collection,
                models.FilterSelector(filter=gone),
                wait=True,
                ordering=models.WriteOrdering.MEDIUM,
            )
        )

    def flush(self) -> None:
        """Nothing to do: a server answers a waited write once it is in its log, and local mode
        commits each."""

    def count(self) -> int:
        return max(self._counts(None).values())

    def scan(
        self, video_ids: Sequence[str] | None = None, batch: int = 1000
    ) -> Iterator[list[Embedding]]:
        only = None if video_ids is None else models.Filter(must=[any_of("video_id", video_ids)])
        for records in self._scroll(only, batch, whole=True):
            yield [
                to_embedding(dict(record.payload or {}), cast(dict[str, Any], record.vector))
                for record in records
            ]

    def videos(self) -> Iterator[tuple[dict[str, Any], int]]:
        pages = self._scroll(None, 1000, whole=False)
        yield from counted(dict(record.payload or {}) for page in pages for record in page)

    def _scroll(
        self, only: models.Filter | None, batch: int, *, whole: bool
    ) -> Iterator[Sequence[models.Record]]:
        """whole: with what is large of a point."""
        offset: Any = None
        counts = self._counts(only)
        fullest = max(counts, key=counts.__getitem__)
        while True:
            (records, offset), _ = self._nodes.ask_node(
                partial(
                    QdrantClient.scroll,
                    collection_name=self._collection,
                    scroll_filter=only,
                    limit=batch,
                    offset=offset,
                    with_payload=True if whole else _BUT_FRAMES,
                    with_vectors=whole,
                ),
                first=fullest,
            )
            if records:
                yield records
            if offset is None:
                return

    def _counts(self, only: models.Filter | None) -> dict[Node, int]:
        """The number of points at more than half of the nodes: one that was paused may lack some, and
        what the mirror lacks counts as lost."""
        answers = self._nodes.ask_several(
            lambda client: client.count(self._collection, only, exact=True), self._nodes.majority
        )
        return {node: answer.count for node, answer in answers.items()}

    def close(self) -> None:
        self._nodes.close()

    def _write(self, points: Sequence[models.PointStruct]) -> None:
        self._nodes.ask(
            lambda client: client.upsert(
                self._collection, points, wait=True, ordering=models.WriteOrdering.MEDIUM
            )
        )

    def _check_model(self) -> None:
        held = self._nodes.ask(
            lambda client: collection_model(client, self._collection), reading=True
        )
        if held not in (None, self.model_id):
            raise ModelMismatchError(
                f"{self._nodes.where}: collection {self._collection} holds vectors of {held}, not of "
                f"{self.model_id}; set STORYHASH_QDRANT__COLLECTION to another"
            )


def mirrored_model(settings: QdrantSettings) -> str | None:
    """The model whose vectors the collection holds, if it is there and not empty."""
    nodes = Nodes.connect(settings)
    name = settings.collection
    try:
        if not nodes.ask(lambda client: client.collection_exists(name), reading=True):
            return None
        return nodes.ask(lambda client: collection_model(client, name), reading=True)
    finally:
        nodes.close()


def collection_model(client: QdrantClient, collection: str) -> str | None:
    """The model of a collection's first point; None for an empty one."""
    points, _ = client.scroll(collection, limit=1)
    return (points[0].payload or {}).get("model_id") if points else None
