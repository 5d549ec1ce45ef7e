"""`POST /v1/embed`: queries embedded for services that have no models of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from common.errors import ModelMismatchError, UsageError
from common.gate import Gate
from common.health import Health
from common.http import new_app
from common.metrics import Metrics
from common.settings import HttpSettings
from common.types import LookName, QueryEmbedding
from common.upload import BODIES, asked
from common.wire import encode_query
from embedder.looks import LOOKS

MSGPACK = "application/msgpack"
MODEL_HEADER = "X-StoryHash-Model"
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
        "description": "An embedded query.",
        "content": {MSGPACK: {"schema": {"type": "string", "format": "binary"}}},
    },
    400: {"description": "No video in the request."},
    408: {"description": "The rest of the video did not come."},
    409: {"description": "Another model."},
    413: {"description": "Too large."},
    422: {"description": "A video that cannot be used."},
    503: {"description": "Too many wait already; Retry-After says when to come again."},
}

# A video file (or an address) and how to call it, as an embedded query, looked at so closely. Raises
# VideoError.
Embed = Callable[[Path | str, str, LookName], QueryEmbedding]


def embed_app(
    embed: Embed, model_id: str, health: Health, metrics: Metrics, settings: HttpSettings
) -> FastAPI:
    """The embedder's API; `embed` is called in a thread, two at a time."""
    app = new_app("StoryHash embedder", health, metrics)
    gate = Gate(_AT_WORK, _WAITING)
    headers = {MODEL_HEADER: model_id}

    @app.get("/v1/model", tags=["embedder"])
    async def model() -> dict[str, str]:
        """The model whose vectors this embedder makes."""
        return {"model_id": model_id}

    @app.post("/v1/embed", tags=["embedder"], openapi_extra=_DOCUMENTED, responses=_ANSWERS)
    async def embed_query(request: Request) -> Response:
        """A video as an embedded query, in msgpack."""
        wanted = request.query_params.get("model_id", model_id)
        if wanted != model_id:
            raise ModelMismatchError(f"this embedder has model {model_id}, not {wanted}")
        look = _look_of(request)
        async with gate.entered(), asked(request, settings.max_upload_bytes, _ALLOWED) as given:
            source = given.path or given.fields["uri"]
            packed = await gate.run(partial(_packed, embed, source, given.name, look))
        return Response(packed, headers=headers, media_type=MSGPACK)

    return app


def _look_of(request: Request) -> LookName:
    wanted = request.query_params.get("look", "first")
    for name in LOOKS:
        if name == wanted:
            return name
    raise UsageError(f"look: expected one of {', '.join(LOOKS)}, got {wanted!r}")


def _packed(embed: Embed, source: Path | str, name: str, look: LookName) -> bytes:
    return encode_query(embed(source, name, look))
