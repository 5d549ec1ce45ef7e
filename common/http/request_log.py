"""Adds a request id and browser headers to every response, measures it, and logs one line per request."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Sequence
from typing import TypeAlias

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.http.guard import HEALTH_PATHS
from common.http.request_facts import facts_of
from common.http.request_metrics import RequestObserver, route_of
from common.log_context import REQUEST_ID_HEADER, log_context
from common.logs import ACCESS_LOGGER
from common.metrics import Metrics
from common.printable import printable_json
from common.settings import HttpSettings
from common.tracing import TRACEPARENT_HEADER, Span, is_tracing, open_span, spanned

Header: TypeAlias = tuple[bytes, bytes]

_log = logging.getLogger(ACCESS_LOGGER)
# Valid ids from a proxy or client. Other text could forge log lines.
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_MAX_PATH = 1024
_random = random.Random()
_HEADERS = [
    (name.lower().encode(), value.encode())
    for name, value in {
        "X-Content-Type-Options": "nosniff",
        # Responses are data about videos, only for the caller.
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
    }.items()
]
_ID_HEADER = REQUEST_ID_HEADER.lower().encode()
_OWN_NAMES = frozenset({_ID_HEADER, *(name for name, _ in _HEADERS)})


class RequestLog:
    """The outermost middleware. It keeps a header that a route sets."""

    def __init__(self, app: ASGIApp, settings: HttpSettings, metrics: Metrics) -> None:
        self._app = app
        self._observer = RequestObserver(metrics)
        self._access_log = settings.access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts = facts_of(scope)
        facts.request_id = _request_id(scope)
        began = time.perf_counter()
        status, size = 500, 0
        measured = scope["path"] not in HEALTH_PATHS

        async def noted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {
                    **message,
                    "headers": [
                        *_with_browser_headers(message.get("headers", ())),
                        (_ID_HEADER, facts.request_id.encode()),
                    ],
                }
            else:
                size += len(message.get("body", b""))
            await send(message)

        if measured:
            self._observer.begin()
        try:
            with log_context(request_id=facts.request_id):
                if measured and is_tracing():
                    with spanned(_span(scope, facts.request_id)) as span:
                        try:
                            await self._app(scope, receive, noted)
                        finally:
                            _describe(span, scope, status)
                else:
                    await self._app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - began
            if measured:
                self._observer.end(scope, status, seconds)
            if self._access_log:
                _write(scope, status, size, seconds)


def _with_browser_headers(given: Sequence[Header]) -> list[Header]:
    """The headers of a response with ours, but without an id."""
    names = {name for name, _ in given}
    if names.isdisjoint(_OWN_NAMES):
        return [*given, *_HEADERS]
    return [
        *(one for one in given if one[0] != _ID_HEADER),
        *(one for one in _HEADERS if one[0] not in names),
    ]


def _span(scope: Scope, request_id: str) -> Span:
    parents = [value for name, value in scope["headers"] if name == TRACEPARENT_HEADER.encode()]
    return open_span(
        scope["method"],
        kind="server",
        parent=parents[0].decode("latin-1") if len(parents) == 1 else "",
        attributes={"http.request.method": scope["method"], "storyhash.request_id": request_id},
    )


def _describe(span: Span, scope: Scope, status: int) -> None:
    """Complete the span of a request, without its path, which may contain an id."""
    route = route_of(scope)
    span.rename(f"{scope['method']} {route}")
    span.note({"http.route": route, "http.response.status_code": status})
    if status >= 500:
        span.fail(facts_of(scope).code or "internal")


def _request_id(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and _WELL_FORMED.fullmatch(given[0]):
        return str(given[0].decode("ascii"))
    # It need not be secret, and the kernel's random numbers cost a system call.
    return f"{_random.getrandbits(64):016x}"


def _write(scope: Scope, status: int, size: int, seconds: float) -> None:
    """Log one line, without the query string: it may contain a secret, such as a key of another
    service."""
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
