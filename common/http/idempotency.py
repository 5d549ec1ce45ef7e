"""The Idempotency-Key header: a repeated request does nothing and gets the first answer."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from common.errors import UsageError
from common.http.errors import json_response
from common.http.request_facts import REPLAYED_HEADER, facts_of
from common.state.idempotency import KEPT_ANSWERS, Once

_HEADER = "Idempotency-Key"
_MAX_KEY = 200

# The header in the OpenAPI document.
IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": _HEADER,
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": _MAX_KEY},
    "description": "Chosen by the client. The same request with the same key within 24 hours gets the "
    f"first answer again, with the header `{REPLAYED_HEADER}`; the last {KEPT_ANSWERS:,} answers are "
    "kept.",
}


def once_of(request: Request, body: str) -> Once | None:
    """The Idempotency-Key of a request; None without one. body: what the request asks for. Raises
    UsageError."""
    given = request.headers.getlist(_HEADER)
    if not given:
        return None
    key = given[0]
    printable = key.isascii() and key.isprintable()
    if len(given) > 1 or not 1 <= len(key) <= _MAX_KEY or not printable:
        raise UsageError(f"{_HEADER}: expected 1 to {_MAX_KEY} printable ASCII characters, once")
    route = f"{request.method} {request.url.path}"
    asked = f"{request.url.query}\n{body}"
    return Once(facts_of(request.scope).caller.key_id or "", route, key, asked)


def made_response(
    value: Any, status: int, location: str | None = None, *, replayed: bool
) -> Response:
    """The response about something that was made. location: its path."""
    headers = {"Location": location} if location else {}
    return json_response(value, status, headers | ({REPLAYED_HEADER: "true"} if replayed else {}))
