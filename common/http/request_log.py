"""What every response carries (a request id, headers for browsers), and one log line per request."""

from __future__ import annotations

import logging
import re
import secrets
import time

import orjson
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.http.request_facts import REQUEST_ID_HEADER, facts_of
from common.logs import ACCESS_LOGGER
from common.printable import printable_json
from common.settings import HttpSettings

_log = logging.getLogger(ACCESS_LOGGER)
# An id that a proxy or a caller gave; anything else could forge lines of a log.
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_MAX_PATH = 1024
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Answers are data about videos, and for their caller alone.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


class RequestLog:
    """The outermost of our layers. A header that a route sets itself stays."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._access_log = settings.access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts = facts_of(scope)
        facts.request_id = _request_id(scope)
        began = time.perf_counter()
        status, size = 500, 0

        async def noted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = facts.request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            if self._access_log:
                _write(scope, status, size, time.perf_counter() - began)


def _request_id(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and _WELL_FORMED.fullmatch(given[0]):
        return str(given[0].decode("ascii"))
    return secrets.token_hex(8)


def _write(scope: Scope, status: int, size: int, seconds: float) -> None:
    """One line; never the query, which may hold a key of another service."""
    facts = facts_of(scope)
    path = scope["path"][:_MAX_PATH].encode(errors="replace").decode()
    line = {
        "time": round(time.time(), 3),
        "request_id": facts.request_id,
        "key_id": facts.caller.key_id,
        "address": scope["client"][0] if scope.get("client") else None,
        "method": scope["method"],
        "path": path,
        "status": status,
        "bytes": size,
        "milliseconds": round(1000 * seconds, 2),
    }
    _log.info("%s", printable_json(orjson.dumps(line).decode()))
