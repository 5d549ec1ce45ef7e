"""ETags: a client that has the current version of a resource does not get it again."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from common.http.errors import ApiError, json_response, to_json

# The header in the OpenAPI document.
IF_MATCH: dict[str, Any] = {
    "name": "If-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "The `ETag` that the client read. If somebody has changed the item since, nothing is "
    "done (412). What changes by itself, such as a count or a state, is not compared.",
}


def tagged_response(request: Request, value: Any, settings: Any = None) -> Response:
    """A value as JSON with its ETag; 304 without a body if `If-None-Match` of a GET names it. settings:
    the part of the value that requests with `If-Match` change; None for the whole value."""
    tag = _tag_of(value, settings)
    # The browser may keep it, but asks each time whether it is still valid.
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if not_modified(request, tag):
        return Response(status_code=304, headers=headers)
    return json_response(value, headers=headers)


def not_modified(request: Request, tag: str) -> bool:
    """Whether the client of a GET has the version with this ETag already."""
    given = _names(request, "if-none-match")
    return request.method == "GET" and (tag in given or given == {"*"})


def is_newer(request: Request, value: Any) -> bool:
    """Whether the client has another version than this value, as `If-None-Match` says."""
    return "if-none-match" in request.headers and not not_modified(request, _tag_of(value))


def check_if_match(request: Request, settings: Any) -> None:
    """Raises ApiError (412) if `If-Match` is given and does not name the version with these settings (see
    `tagged_response`). settings: None if there is nothing yet, which no ETag names."""
    if "if-match" not in request.headers:
        return
    given = _names(request, "if-match")
    begins = {name.strip('"').partition("-")[0] for name in given}
    named = given == {"*"} or _digest(to_json(settings)) in begins
    if settings is None or not named:
        raise ApiError(
            412,
            "precondition_failed",
            "somebody has changed this since you read it; get it again, then repeat the change",
        )


def etag(content: bytes) -> str:
    """The ETag of a content: the begin of its SHA-256."""
    return f'"{_digest(content)}"'


def _tag_of(value: Any, settings: Any = None) -> str:
    """The ETag of a value. It begins with the digest of the settings, which `If-Match` compares."""
    whole = _digest(to_json(value))
    return f'"{whole}"' if settings is None else f'"{_digest(to_json(settings))}-{whole}"'


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _names(request: Request, header: str) -> set[str]:
    given = request.headers.get(header, "")
    return {name.strip().removeprefix("W/") for name in given.split(",")}
