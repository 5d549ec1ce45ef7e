"""`POST /v1/embed`: queries embedded for services that have no models of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import ModelMismatchError, UsageError, VideoError
from common.http.health import Health
from common.http.load_shedding import Gate
from common.http.server import new_app
from common.http.upload import BODIES, Uploads
from common.messaging.wire import encode_query
from common.metrics import Metrics
from common.settings import HttpSettings
from common.types import LookName, QueryEmbedding, TakeLook
from embedder.query.passes import LOOKS

MSGPACK = "application/msgpack"
MODEL_HEADER = "X-StoryHash-Model"
_BLOCK_BYTES = 1 << 20
# Queries share the device with ingestion: two keep it busy, and more would only wait longer.
_AT_WORK, _WAITING = 2, 16
_ALLOWED = frozenset({"uri"})
_DOCUMENTED: dict[str, Any] = {
    "parameters": [
        {
            "name": "name",
            "in": "query",
            "schema": {"type": "string"},
            "description": "How to call the video in the answer.",
        },
        {
            "name": "model_id",
            "in": "query",
            "schema": {"type": "string"},
            "description": "Refuse (409) where this is not the embedder's model.",
        },
        {
            "name": "look",
            "in": "query",
            "schema": {"type": "string", "enum": list(LOOKS), "default": "first"},
            "description": "How closely to look: at the whole picture, or at parts of it, turned and "
            "inverted, at some moments or at many.",
        },
    ],
    "requestBody": {
        "required": True,
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
    },
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An embedded query: one msgpack map, schema `query`. A long one comes as several "
        "maps, schema `query-piece`, one after the other, each sent as soon as it is made.",
        "content": {MSGPACK: {"schema": {"type": "string", "format": "binary"}}},
    },
    400: {"description": "No video in the request."},
    408: {"description": "The rest of the video did not come."},
    409: {"description": "Another model."},
    413: {"description": "Too large."},
    415: {"description": "Another content type than a video is sent with."},
    422: {"description": "A video that cannot be used."},
    503: {"description": "Too many wait already; Retry-After says when to come again."},
}

# A video file (or an address) and how to call it, as a query to be looked at while the block lasts.
# Entering and looking raise VideoError, CancelledError and what embedding raises.
Embed = Callable[[Path | str, str, Cancellation], AbstractContextManager[TakeLook]]
# A step of work done in a thread, when it is its turn.
_Run = Callable[[Callable[[], Any]], Awaitable[Any]]


def embed_app(
    embed: Embed, model_id: str, health: Health, metrics: Metrics, settings: HttpSettings
) -> FastAPI:
    """The embedder's API; `embed` is called in a thread, two at a time."""
    app = new_app("StoryHash embedder", health, metrics, settings)
    gate, uploads = Gate(_AT_WORK, _WAITING), Uploads(settings)
    headers = {MODEL_HEADER: model_id}

    @app.get("/v1/model", tags=["embedder"])
    async def model() -> dict[str, str]:
        """The model whose vectors this embedder makes."""
        return {"model_id": model_id}

    @app.post("/v1/embed", tags=["embedder"], openapi_extra=_DOCUMENTED, responses=_ANSWERS)
    async def embed_query(request: Request) -> Response:
        """A video as an embedded query, in msgpack; a long one as several, one after the other."""
        wanted = request.query_params.get("model_id", model_id)
        if wanted != model_id:
            raise ModelMismatchError(f"this embedder has model {model_id}, not {wanted}")
        look = _look_of(request)
        async with AsyncExitStack() as stack:
            # A long body is refused before it is sent; a place is taken once it is there.
            gate.check_room()
            given = await stack.enter_async_context(uploads.asked(request, _ALLOWED))
            await stack.enter_async_context(gate.entered())
            cancellation = Cancellation()
            source = given.path or given.fields["uri"]
            work = _Pieces(embed, source, given.name, look, cancellation)
            stack.callback(work.close)

            async def run(step: Callable[[], Any]) -> Any:
                return await gate.run(lambda _: step(), request.receive, cancellation)

            first = await run(work.next)
            if first is None:
                raise VideoError("there is nothing in it to look at")
            if first.number == first.pieces:
                return Response(encode_query(first), headers=headers, media_type=MSGPACK)
            blocks = _blocks(first, work, run)
            return PiecesResponse(stack.pop_all(), blocks, headers=headers, media_type=MSGPACK)

    return app


def _look_of(request: Request) -> LookName:
    wanted = request.query_params.get("look", "first")
    for name in LOOKS:
        if name == wanted:
            return name
    raise UsageError(f"look: expected one of {', '.join(LOOKS)}, got {wanted!r}")


class _Pieces:
    """The pieces of one query, each made in whichever thread asks for it."""

    def __init__(
        self,
        embed: Embed,
        source: Path | str,
        name: str,
        look: LookName,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> None:
        self._made = self._pieces(embed, source, name, look, cancellation)

    def next(self) -> QueryEmbedding | None:
        """The next one; None when there is none left."""
        return next(self._made, None)

    def close(self) -> None:
        """Let go of the video; a thread that still works on it does so at its end."""
        with suppress(ValueError):
            self._made.close()

    @staticmethod
    def _pieces(
        embed: Embed, source: Path | str, name: str, look: LookName, cancellation: Cancellation
    ) -> Generator[QueryEmbedding]:
        with embed(source, name, cancellation) as take:
            yield from take(look)


class PiecesResponse(StreamingResponse):
    """An answer that is still being made while it is sent; what it is made from is let go of at its
    end."""

    def __init__(self, held: AsyncExitStack, blocks: AsyncIterator[bytes], **more: Any) -> None:
        super().__init__(blocks, **more)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)


async def _blocks(first: QueryEmbedding, work: _Pieces, run: _Run) -> AsyncIterator[bytes]:
    """Every piece as bytes. What fails now breaks the answer off: its status is sent already."""
    piece: QueryEmbedding | None = first
    while piece is not None:
        packed = await run(partial(encode_query, piece))
        for start in range(0, len(packed), _BLOCK_BYTES):
            yield packed[start : start + _BLOCK_BYTES]
        piece = await run(work.next)
