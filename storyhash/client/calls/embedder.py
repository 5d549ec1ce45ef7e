"""The routes of an embedder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel

from common.errors import WireError
from common.messaging.wire import QueryReader
from common.types import EVERYWHERE, PassName, QueryEmbedding, TimeSpans
from embedder.query.span_text import spans_to_text
from embedder.server import QUERY_HEADER
from storyhash.client.call import Call, Upload, as_model, as_nothing, operation


class Model(BaseModel):
    """The model of an embedder."""

    model_id: str


@dataclass(frozen=True, slots=True)
class EmbeddedQuery:
    """A query that an embedder has decoded, by its id there, and the pieces of one pass."""

    query_id: str
    pieces: tuple[QueryEmbedding, ...]


@operation("GET", "/v1/model")
def model() -> Call[Model]:
    """The model whose vectors an embedder makes."""
    return Call(as_model(Model))


@operation("POST", "/v1/embed")
def embed(
    file: Path | bytes | None = None,
    *,
    uri: str | None = None,
    query_id: str | None = None,
    name: str | None = None,
    model_id: str | None = None,
    pass_name: PassName = "first",
    within: TimeSpans = EVERYWHERE,
) -> Call[EmbeddedQuery]:
    """Embed a file, the video at an address, or a query that the embedder has decoded already. model_id:
    raises a UsageError if the embedder has another model. within: the parts of the query that a second
    pass looks at."""
    body: dict[str, Any] = {}
    if file is not None:
        body["upload"] = Upload(file)
    elif uri is not None:
        body["json"] = {"uri": uri}
    query = {
        "name": name,
        "model_id": model_id,
        "look": pass_name,
        "query_id": query_id,
        "within": [] if within == EVERYWHERE else spans_to_text(within),
    }
    return Call(_embedded, query=query, **body)


@operation("DELETE", "/v1/embed/{query_id}")
def delete_query(query_id: str) -> Call[None]:
    """Delete a query that needs no further pass."""
    return Call(as_nothing, path={"query_id": query_id})


def _embedded(answer: httpx.Response) -> EmbeddedQuery:
    reader = QueryReader()
    try:
        pieces = tuple(reader.feed(answer.content))
        reader.end()
    except WireError as error:
        raise ValueError(str(error)) from None
    return EmbeddedQuery(answer.headers[QUERY_HEADER], pieces)
