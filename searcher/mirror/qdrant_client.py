"""A mirror through Qdrant's client: a server or cluster, or the client's local mode in a folder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_chain, wait_fixed

from common.errors import DataFolderError, DependencyError, ModelMismatchError
from common.settings import QdrantSettings
from common.types import GRAPH_DIMENSION, VECTOR_DIMENSION, Embedding
from common.uris import without_passwords
from searcher.mirror.base import (
    FRAMES_FIELD,
    GRAPH_NAME,
    NO_VIDEOS,
    VECTOR_NAME,
    counted,
    keepers,
    to_embedding,
    to_payload,
)
from searcher.storage.video_store import Video

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

_BATCH = 500
_BUT_FRAMES = models.PayloadSelectorExclude(exclude=[FRAMES_FIELD])
_PAUSES_SECONDS = (0.2, 1.0, 3.0)
# A cluster in strict mode refuses a filter on a field without an index.
_INDEXES = {
    "video_id": models.PayloadSchemaType.KEYWORD,
    "bank": models.PayloadSchemaType.KEYWORD,
    "version": models.PayloadSchemaType.INTEGER,
    "informative": models.PayloadSchemaType.INTEGER,
}


class QdrantClientMirror:
    """One collection. Every write is idempotent, and is retried if its result is unknown."""

    def __init__(self, client: QdrantClient, collection: str, model_id: str, where: str) -> None:
        """Open the collection, or create it. where: name of the store in messages.

        Raises ModelMismatchError if it has another model's vectors, DependencyError if the server does
        not answer.
        """
        self.model_id = model_id
        self._client = client
        self._collection = collection
        self._where = where
        if not self._ask(client.collection_exists, collection):
            self._create()
        self._check_model()

    @classmethod
    def local(cls, folder: Path, model_id: str) -> QdrantClientMirror:
        """The client's own store in a folder: a few thousand vectors, one process."""
        try:
            client = QdrantClient(path=str(folder))
        except RuntimeError as error:
            raise DataFolderError(f"{folder}: {error}") from None
        return cls(client, "storyhash", model_id, str(folder))

    @classmethod
    def server(cls, settings: QdrantSettings, model_id: str) -> QdrantClientMirror:
        """A server or a cluster."""
        return cls(_connect(settings), settings.collection, model_id, _shown(settings))

    def upsert(
        self, embeddings: Sequence[Embedding], videos: Mapping[str, Video] = NO_VIDEOS
    ) -> None:
        rows = keepers([one.ref for one in embeddings], videos)
        for start in range(0, len(embeddings), _BATCH):
            points = [
                models.PointStruct(
                    id=one.ref.point_id,
                    vector={VECTOR_NAME: one.vector.tolist(), GRAPH_NAME: one.graph.tolist()},
                    payload=to_payload(
                        one.ref, one.informative, one.model_id, one.frames, rows.get(one.ref)
                    ),
                )
                for one in embeddings[start : start + _BATCH]
            ]
            self._ask(
                self._client.upsert,
                self._collection,
                points,
                wait=True,
                ordering=models.WriteOrdering.MEDIUM,
            )

    def delete_video(self, video_id: str, *, keep_version: int | None = None) -> None:
        spared = [] if keep_version is None else [_is("version", keep_version)]
        gone = models.Filter(must=[_is("video_id", video_id)], must_not=spared)
        self._ask(
            self._client.delete,
            self._collection,
            models.FilterSelector(filter=gone),
            wait=True,
            ordering=models.WriteOrdering.MEDIUM,
        )

    def flush(self) -> None:
        """Nothing to do: a server answers a waited write once it is in its log, and local mode
        commits each."""

    def count(self) -> int:
        return self._ask(self._client.count, self._collection, exact=True).count

    def scan(
        self, video_ids: Sequence[str] | None = None, batch: int = 1000
    ) -> Iterator[list[Embedding]]:
        only = None
        if video_ids is not None:
            named = models.FieldCondition(
                key="video_id", match=models.MatchAny(any=sorted(video_ids))
            )
            only = models.Filter(must=[named])
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
        while True:
            records, offset = self._ask(
                self._client.scroll,
                self._collection,
                only,
                batch,
                offset=offset,
                with_payload=True if whole else _BUT_FRAMES,
                with_vectors=whole,
            )
            if records:
                yield records
            if offset is None:
                return

    def close(self) -> None:
        self._client.close()

    def _create(self) -> None:
        vectors = {
            VECTOR_NAME: models.VectorParams(
                size=VECTOR_DIMENSION, distance=models.Distance.DOT, on_disk=True
            ),
            GRAPH_NAME: models.VectorParams(
                size=GRAPH_DIMENSION, distance=models.Distance.DOT, on_disk=True
            ),
        }
        self._ask(
            self._client.create_collection,
            self._collection,
            vectors_config=vectors,
            on_disk_payload=True,
        )
        with warnings.catch_warnings():
            # Local mode has no indexes and warns that it passes this over.
            warnings.simplefilter("ignore", UserWarning)
            for field, kind in _INDEXES.items():
                self._ask(self._client.create_payload_index, self._collection, field, kind)

    def _check_model(self) -> None:
        held = self._ask(collection_model, self._client, self._collection)
        if held not in (None, self.model_id):
            raise ModelMismatchError(
                f"{self._where}: collection {self._collection} holds vectors of {held}, not of "
                f"{self.model_id}; set STORYHASH_QDRANT__COLLECTION to another"
            )

    def _ask(
        self,
        call: Callable[Parameters, Answer],
        *args: Parameters.args,
        **options: Parameters.kwargs,
    ) -> Answer:
        return _insist(self._where, call, *args, **options)


def mirrored_model(settings: QdrantSettings) -> str | None:
    """The model whose vectors the collection holds, if it is there and not empty."""
    client = _connect(settings)
    try:
        if not _insist(_shown(settings), client.collection_exists, settings.collection):
            return None
        return _insist(_shown(settings), collection_model, client, settings.collection)
    finally:
        client.close()


def collection_model(client: QdrantClient, collection: str) -> str | None:
    """The model of a collection's first point; None for an empty one."""
    points, _ = client.scroll(collection, limit=1)
    return (points[0].payload or {}).get("model_id") if points else None


def _shown(settings: QdrantSettings) -> str:
    """Where it is, as messages show it."""
    return without_passwords(settings.url)


def _connect(settings: QdrantSettings) -> QdrantClient:
    key = settings.api_key.get_secret_value() if settings.api_key else None
    with warnings.catch_warnings():
        # The client warns of a key over plain http, which is right inside one's own network.
        warnings.simplefilter("ignore", UserWarning)
        return QdrantClient(
            url=settings.url,
            api_key=key,
            timeout=max(1, round(settings.timeout_seconds)),
            check_compatibility=False,
        )


def _insist(
    where: str,
    call: Callable[Parameters, Answer],
    *args: Parameters.args,
    **options: Parameters.kwargs,
) -> Answer:
    """A server's error 5xx or silence leaves the outcome open, so the same call is made again."""
    retrying = Retrying(
        retry=retry_if_exception(_leaves_outcome_open),
        wait=wait_chain(*map(wait_fixed, _PAUSES_SECONDS)),
        stop=stop_after_attempt(1 + len(_PAUSES_SECONDS)),
        reraise=True,
    )
    try:
        return retrying(call, *args, **options)
    except (ResponseHandlingException, UnexpectedResponse) as error:
        raise DependencyError(_explain(where, error)) from None


def _leaves_outcome_open(error: BaseException) -> bool:
    if isinstance(error, UnexpectedResponse):
        return error.status_code is None or error.status_code >= 500
    return isinstance(error, ResponseHandlingException)


def _explain(where: str, error: ApiException) -> str:
    if isinstance(error, UnexpectedResponse):
        if error.status_code in (401, 403):
            return f"Qdrant at {where} refuses the key: set STORYHASH_QDRANT__API_KEY"
        reason = " ".join(str(error).split())[:160]
        return f"Qdrant at {where} answered {reason}"
    return (
        f"Qdrant at {where} does not respond ({str(error)[:120]}); start it, or set "
        "STORYHASH_QDRANT__URL, or STORYHASH_SEARCHER__MIRROR=edge"
    )


def _is(field: str, value: str | int) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchValue(value=value))
