"""`POST /v1/embed`: embeds queries for services without models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from common.cancellation import Cancellation
from common.errors import ModelMismatchError, VideoError
from common.http.access import Access
from common.http.health import Health
from common.http.load_shedding import LoadShedder
from common.http.request_metrics import QueueMetrics
from common.http.roles import needs
from common.http.server import new_app
from common.http.upload import BODIES, UploadStore
from common.messaging.wire import encode_query
from common.metrics import Metrics
from common.settings import HttpSettings
from common.state.roles import Role
from common.types import EVERYWHERE, MOST_SPANS, PassName, QueryEmbedding, TimeSpans
from embedder.query.open_queries import OpenQueries, OpenQuery, QueryLimits
from embedder.query.span_text import spans_from_text

MSGPACK = "application/msgpack"
MODEL_HEADER = "X-StoryHash-Model"
QUERY_HEADER = "X-StoryHash-Query"
_BLOCK_BYTES = 1 << 20
# The timers of an event loop may be early.
_SPARE_SECONDS = 1.0
# Queries share the device with ingestion: two keep it busy, and more would only wait longer.
AT_WORK, _WAITING = 2, 16
_ALLOWED = frozenset({"uri"})
_BODY: dict[str, Any] = {
    "requestBody": {
        "description": "The video; empty if `query_id` is given.",
        "required": False,
        "content": {
            **BODIES,
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["uri"],
                    "properties": {"uri": {"type": "string", "format": "uri"}},
                }
            },
        },
    }
}
_UNKNOWN = {"description": "Unknown query id: the query expired or was deleted."}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "An embedded query: one msgpack map, schema `query`. A long query is sent as "
            "several maps, schema `query-piece`, in order."
        ),
        "content": {MSGPACK: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            QUERY_HEADER: {
                "description": "Id of the decoded query, for the next pass.",
                "schema": {"type": "string"},
            },
            MODEL_HEADER: {"description": "Model of the vectors.", "schema": {"type": "string"}},
        },
    },
    400: {"description": "No video in the request, or an invalid parameter."},
    404: _UNKNOWN,
    408: {"description": "The rest of the video did not arrive."},
    409: {"description": "The embedder has another model."},
    413: {"description": "The video is too large."},
    415: {"description": "The content type is not supported."},
    422: {"description": "The video cannot be used."},
    503: {"description": "Too many requests are waiting; retry after Retry-After seconds."},
}

# Decodes a video file (or an address) as a query with this name. Raises VideoError, StorageError and
# CancelledError.
Open = Callable[[Path | str, str, Cancellation], OpenQuery]
# Runs a step of work in a thread when it is its turn.
_Run = Callable[[Callable[[], Any]], Awaitable[Any]]


def embed_app(
    open_query: Open,
    model_id: str,
    health: Health,
    metrics: Metrics,
    settings: HttpSettings,
    limits: QueryLimits | None = None,
    access: Access | None = None,
) -> FastAPI:
    """The embedder's API; queries are decoded and embedded in threads, two at a time."""
    app = new_app("StoryHash embedder", health, metrics, settings, access)
    measured = QueueMetrics(metrics, "embed")
    load_shedder = LoadShedder(AT_WORK, _WAITING, measured=measured)
    uploads = UploadStore(settings, metrics)
    queries = OpenQueries(limits or QueryLimits())

    @app.get("/v1/model", tags=["embedder"], dependencies=needs(Role.READER))
    async def model() -> dict[str, str]:
        """The model whose vectors this embedder makes."""
        return {"model_id": model_id}

    @app.post(
        "/v1/embed",
        tags=["embedder"],
        dependencies=needs(Role.READER),
        openapi_extra=_BODY,
        responses=_ANSWERS,
    )
    async def embed_query(
        request: Request,
        name: Annotated[str, Query(description="Name of the video in the response.")] = "",
        wanted: Annotated[
            str,
            Query(
                alias="model_id", description="Respond with 409 if the embedder has another model."
            ),
        ] = model_id,
        look: Annotated[
            PassName,
            Query(
                description="Which pass: `first` embeds the whole picture and pictures within it, "
                "`closer` other parts of it, turned and inverted, at some moments, `thorough` the "
                "same at many."
            ),
        ] = "first",
        within: Annotated[
            list[str] | None,
            Query(
                max_length=MOST_SPANS,
                description="Embed only moments in this part of the video, in seconds, such as "
                "`12.5-31`; repeat for more. A first pass embeds all of them.",
            ),
        ] = None,
        query_id: Annotated[
            str,
            Query(
                description=f"A query that is here already, by the {QUERY_HEADER} of an earlier answer: "
                "nothing is sent and nothing is decoded again."
            ),
        ] = "",
    ) -> Response:
        """Embed a video as a query, in msgpack; a long one in several pieces, one after the other."""
        if wanted != model_id:
            raise ModelMismatchError(f"this embedder has model {model_id}, not {wanted}")
        async with AsyncExitStack() as stack:
            # A body that is too long is refused before it is sent. A place is taken after it arrived.
            load_shedder.check_capacity()
            cancellation = Cancellation()
            spans = spans_from_text(within) if within else EVERYWHERE
            work = _Pass(queries, look, spans, cancellation)
            stack.callback(work.close)

            async def run(step: Callable[[], Any]) -> Any:
                return await load_shedder.run(lambda _: step(), request.receive, cancellation)

            async with AsyncExitStack() as body:
                if query_id:
                    work.take(query_id)
                    begin = work.next
                else:
                    upload = await body.enter_async_context(uploads.asked(request, _ALLOWED))
                    source = upload.path or upload.fields["uri"]
                    begin = partial(work.open, open_query, source, upload.name)
                await stack.enter_async_context(load_shedder.entered())
                first = await run(begin)
            if first is None:
                raise VideoError("it has no frame that can be compared")
            headers = {MODEL_HEADER: model_id, QUERY_HEADER: work.query_id}
            if first.number == first.pieces:
                return Response(encode_query(first), headers=headers, media_type=MSGPACK)
            blocks = _blocks(first, work, run)
            return PiecesResponse(stack.pop_all(), blocks, headers=headers, media_type=MSGPACK)

    @app.delete(
        "/v1/embed/{query_id}",
        tags=["embedder"],
        dependencies=needs(Role.READER),
        status_code=204,
        responses={404: _UNKNOWN},
    )
    async def delete_query(query_id: str) -> None:
        """Delete a query that needs no further pass."""
        queries.delete(query_id)

    return app


class _Pass:
    """One pass over a query; each step may run in another thread."""

    def __init__(
        self,
        queries: OpenQueries,
        pass_name: PassName,
        within: TimeSpans,
        cancellation: Cancellation,
    ) -> None:
        self.query_id = ""
        self._queries = queries
        self._pass_name = pass_name
        self._within = within
        self._cancellation = cancellation
        self._pieces: Iterator[QueryEmbedding] = iter(())
        self._whole = True

    def take(self, query_id: str) -> None:
        """Begin a pass over a known query. Raises ApiError (404)."""
        query = self._queries.take(query_id)
        self.query_id = query_id
        self._pieces = query.pieces(self._pass_name, self._within, self._cancellation)

    def open(self, open_query: Open, source: Path | str, name: str) -> QueryEmbedding | None:
        """Decode a video and embed the first piece."""
        query = open_query(source, name, self._cancellation)
        self.query_id = self._queries.add(query)
        self._pieces = query.pieces(self._pass_name, self._within, self._cancellation)
        return self.next()

    def next(self) -> QueryEmbedding | None:
        """Embed the next piece; None if there is none left."""
        self._whole = False
        piece = next(self._pieces, None)
        self._whole = piece is None or piece.number == piece.pieces
        return piece

    def close(self) -> None:
        """End the pass. The query is kept for another pass unless this one was interrupted, because then
        the caller has gone or uses another embedder."""
        if not self.query_id:
            return
        self._queries.give_back(self.query_id, keep=self._whole)
        # An unused query is deleted even if no further request arrives.
        asyncio.get_running_loop().call_later(
            self._queries.limits.idle_seconds + _SPARE_SECONDS, self._queries.expire
        )


class PiecesResponse(StreamingResponse):
    """A streamed answer; it ends the pass when it is sent."""

    def __init__(
        self, resources: AsyncExitStack, blocks: AsyncIterator[bytes], **more: Any
    ) -> None:
        super().__init__(blocks, **more)
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._resources:
            await super().__call__(scope, receive, send)


async def _blocks(first: QueryEmbedding, work: _Pass, run: _Run) -> AsyncIterator[bytes]:
    """Every piece as bytes. An error now interrupts the answer, because its status is already sent."""
    piece: QueryEmbedding | None = first
    while piece is not None:
        packed = await run(partial(encode_query, piece))
        for start in range(0, len(packed), _BLOCK_BYTES):
            yield packed[start : start + _BLOCK_BYTES]
        piece = await run(work.next)
