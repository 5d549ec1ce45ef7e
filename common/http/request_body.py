"""Small request bodies: bytes and JSON, with limits on size and depth before they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import orjson
from anyio import to_thread
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from common.errors import UsageError
from common.http.errors import ApiError
from common.http.request_facts import header_of
from common.http.waiting import within

Result = TypeVar("Result")
Model = TypeVar("Model", bound=BaseModel)
JSON_TYPE = "application/json"
MAX_JSON_DEPTH = 32
# Time limit of a small body.
_SECONDS = 30.0
_IGNORED_BYTES = 1 << 16
# A body up to this size is parsed directly, in a few tenths of a millisecond. A larger one is parsed in a
# thread, so that the event loop is not blocked.
INLINE_BYTES = 100_000


def content_type(request: Request) -> str:
    """The content type in lower case, without parameters; empty if there is none."""
    kind, _ = parse_options_header(request.headers.get("content-type"))
    return kind.decode("latin-1")


def accepts(request: Request, media_type: str) -> bool:
    """Whether the `Accept` header names a media type, given in lower case."""
    given = request.headers.get("accept", "").lower().split(",")
    return media_type in (one.partition(";")[0].strip() for one in given)


def unsupported(given: str, expected: str) -> ApiError:
    """An error 415 for a content type."""
    return ApiError(
        415,
        "unsupported_media_type",
        f"Content-Type: expected {expected}, got {given[:100]!r}",
        close=True,
    )


def too_large(max_bytes: int, setting: str = "") -> ApiError:
    """An error 413. setting: the variable that sets the limit."""
    which = f" ({setting})" if setting else ""
    message = f"the request is larger than {max_bytes} bytes{which}"
    return ApiError(413, "too_large", message, close=True)


def check_claim(request: Request, max_bytes: int, setting: str = "") -> None:
    """Check Content-Length. Raises ApiError (413) if it exceeds `max_bytes`."""
    claimed = header_of(request.scope, b"content-length") or ""
    # int() refuses numbers of more than 4300 digits.
    if claimed.isdigit() and (len(claimed) > 20 or int(claimed) > max_bytes):
        raise too_large(max_bytes, setting)


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    """The complete body. Raises ApiError (408, 413)."""
    check_claim(request, max_bytes)
    try:
        return await within(_SECONDS, _whole_body(request, max_bytes))
    except TimeoutError:
        raise ApiError(
            408, "timeout", f"the body took longer than {_SECONDS:.0f} s; send it again", close=True
        ) from None


async def _whole_body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        if len(body) + len(part) > max_bytes:
            raise too_large(max_bytes)
        more = message.get("more_body", False)
        if not (more or body):
            # The usual body is one part, and is not copied.
            return part
        body += part
        if not more:
            return bytes(body)


async def no_body(request: Request) -> None:
    """Read and ignore the body, so that a disconnect is noticed. Raises ApiError (408, 413)."""
    await read_bytes(request, _IGNORED_BYTES)


async def parsed(body: bytes, parse: Callable[[bytes], Result]) -> Result:
    """The result of `parse`. A large body is parsed in a thread."""
    if len(body) <= INLINE_BYTES:
        return parse(body)
    return await to_thread.run_sync(parse, body)


async def read_json(request: Request, max_bytes: int) -> Mapping[str, Any]:
    """A JSON object with at most 32 levels. Raises UsageError, ApiError (408, 413, 415)."""
    kind = content_type(request)
    if kind != JSON_TYPE:
        raise unsupported(kind, JSON_TYPE)
    return await parsed(await read_bytes(request, max_bytes), json_object)


async def read_model(request: Request, model: type[Model], max_bytes: int) -> Model:
    """A JSON object as a model. Raises UsageError with the name of the field, and the errors of
    `read_json`."""
    return as_model(model, await read_json(request, max_bytes))


def as_model(model: type[Model], fields: Mapping[str, Any]) -> Model:
    """Fields as a model. Raises UsageError with the name of the field."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        # Pydantic's words before those of our own validators.
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where or 'the body'}: {message}") from None


@cache
def documented_body(model: type[BaseModel]) -> dict[str, Any]:
    """The request body in OpenAPI, for `openapi_extra` of a route that uses `read_model`. FastAPI would
    document a body parameter by itself, but it reads bodies without limits. Made once for each model, so
    it is not to be changed."""
    content = {JSON_TYPE: {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def json_object(text: bytes, name: str = "the body") -> Mapping[str, Any]:
    """A JSON object with at most 32 levels. name: of the text, for messages. Raises UsageError."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{name}: expected a JSON object")
    if _deeper_than(value, MAX_JSON_DEPTH):
        raise UsageError(f"{name}: expected lists and objects up to {MAX_JSON_DEPTH} deep")
    return value


def _deeper_than(value: Any, depth: int) -> bool:
    """Whether lists and objects are nested more than `depth` levels deep."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
