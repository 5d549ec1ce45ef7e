"""The one way a service is spoken to over HTTP: a server in the background, health, errors as JSON."""

from __future__ import annotations

import json
import logging
import math
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

import orjson
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from common.errors import ModelMismatchError, StoryHashError, UsageError, VideoError
from common.health import Health
from common.metrics import Metrics
from common.settings import HttpSettings

_log = logging.getLogger("storyhash.http")
# By exit code: the caller's mistake, a dependency that is down; everything else is ours.
_STATUS = {2: 400, 3: 503}
_ROUTE_CODES = {404: "no_such_route", 405: "method_not_allowed"}
_NO_CLIENT = 499
# Where the API is when STORYHASH_HTTP__PORT says nothing.
API_PORT = 8000
# What an index has to say beside an answer, as a JSON list of strings.
NOTICES_HEADER = "X-StoryHash-Notices"


class ApiError(StoryHashError):
    """A refusal that HTTP has a status of its own for. The next request may be for another connection:
    `close` ends this one, as it must where a body was not read."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        close: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.exit_code = 3 if status == 503 else 1 if status >= 500 else 2
        self.headers = {**(headers or {}), **({"Connection": "close"} if close else {})}


class HttpServer:
    """An ASGI app served from a thread of its own. Signals stay with the main thread."""

    def __init__(self, app: ASGIApp, settings: HttpSettings, *, stop_seconds: float = 5.0) -> None:
        """stop_seconds: how long requests in work may take once it is told to stop."""
        self.port = API_PORT if settings.port is None else settings.port
        self._settings = settings
        self._stop_seconds = stop_seconds
        self._config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, math.ceil(stop_seconds)),
        )
        self._server = uvicorn.Server(self._config)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it can be asked from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._settings.host, self._settings.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def __enter__(self) -> HttpServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; returns when it does. Port 0 takes a free one, which `port` then tells.

        Raises UsageError for an address or port that cannot be had.
        """
        listener = _listen(self._settings.host, self.port)
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="http", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise StoryHashError("the HTTP server ended as it began; its log says why")
            time.sleep(0.005)

    @property
    def running(self) -> bool:
        """Whether it answers; it does from `start` to `stop`, unless it died."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Take no more, finish what is in work for `stop_seconds` at most, and close."""
        if self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(self._stop_seconds + 2)
        self._thread = None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise UsageError(
            f"{host!r} is no address to listen at ({error.strerror}); change STORYHASH_HTTP__HOST"
        ) from None
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # create_server repeats the address in its words.
        why = (error.strerror or str(error)).split(" (")[0]
        raise UsageError(
            f"cannot listen at {host}:{port}: {why}; set STORYHASH_HTTP__PORT to another port "
            "(0 takes a free one) or STORYHASH_HTTP__HOST to another address"
        ) from None


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A value as JSON; NaN and infinity become null."""
    try:
        body = orjson.dumps(value)
    except TypeError:
        # Metadata is the user's own, and JSON has integers and text that orjson has not.
        plain = json.loads(json.dumps(value), parse_constant=lambda _: None)
        body = json.dumps(plain).encode()
    return Response(body, status, headers, "application/json")


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The shape of every error."""
    return json_response({"error": {"code": code, "message": message}}, status, headers)


def to_response(error: StoryHashError) -> Response:
    """An error of ours as an answer: 400 the caller's mistake, 409 another model, 422 a video that
    cannot be used, 503 a dependency that is down, 500 the rest."""
    if isinstance(error, ApiError):
        return error_response(error.status, error.code, str(error), error.headers)
    status = _STATUS.get(error.exit_code, 500)
    if isinstance(error, VideoError):
        status = 422
    if isinstance(error, ModelMismatchError):
        # What was to be uploaded is not worth reading.
        return error_response(409, error.code, str(error), {"Connection": "close"})
    return error_response(status, error.code, str(error))


def error_handlers(app: FastAPI) -> None:
    """Have every error answered as `{"error": {"code", "message"}}`, and no traceback shown."""

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, StoryHashError)
        return to_response(error)

    async def malformed(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("query", "body"))
        return error_response(400, "usage", f"{where or 'request'}: {first['msg']}")

    async def no_route(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _ROUTE_CODES.get(error.status_code, "http")
        return error_response(error.status_code, code, error.detail, error.headers)

    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=_NO_CLIENT)

    async def unforeseen(_: Request, error: Exception) -> Response:
        # Starlette raises it again, so that the server logs it with its traceback.
        return error_response(500, "internal", f"internal error ({type(error).__name__})")

    app.add_exception_handler(StoryHashError, ours)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, no_route)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unforeseen)


def health_router(health: Health, metrics: Metrics) -> APIRouter:
    """`/livez`: is the process worth keeping; `/readyz`: may it be asked; `/metrics`."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", responses={503: {"description": "It should be restarted."}})
    async def livez() -> Response:
        """Whether the process lives."""
        reason = health.stuck()
        if reason:
            return json_response({"status": "stuck", "reason": reason}, 503)
        return json_response({"status": "ok"})

    @router.get("/readyz", responses={503: {"description": "What it waits for, by condition."}})
    async def readyz() -> Response:
        """Whether it can do its work now."""
        reasons = health.reasons()
        if reasons:
            return json_response({"status": "not ready", "reasons": reasons}, 503)
        warnings = health.warnings()
        return json_response({"status": "ok", **({"warnings": warnings} if warnings else {})})

    @router.get("/metrics", response_class=Response)
    def exposition() -> Response:
        """Every metric, in Prometheus' text format."""
        return Response(
            generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    return router


def new_app(title: str, health: Health, metrics: Metrics) -> FastAPI:
    """An app with health and errors, and nothing else yet. Its contract is at /openapi.json."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None)
    error_handlers(app)
    app.include_router(health_router(health, metrics))
    return app


def health_app(health: Health, metrics: Metrics) -> FastAPI:
    """For a service that is asked nothing but how it is."""
    return new_app("StoryHash", health, metrics)
