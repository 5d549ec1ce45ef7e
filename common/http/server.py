"""The HTTP server of a service: it runs in the background and has routes for health and metrics."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from collections.abc import Collection
from contextlib import suppress

import uvicorn
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, FastAPI
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response
from starlette.types import ASGIApp

from common.errors import SettingsError, StoryHashError, UsageError
from common.http.access import Access
from common.http.answer_at_stop import AnswerAtStop
from common.http.connection import ConnectionBounds, bounded_protocol
from common.http.direct_routes import DirectRoutes
from common.http.errors import error_handlers, json_response
from common.http.guard import RequestGuard, is_loopback
from common.http.head_as_get import HeadAsGet
from common.http.health import Health, Liveness, Readiness
from common.http.key_guard import KeyGuard
from common.http.openapi import DocumentedApp
from common.http.request_log import RequestLog
from common.metrics import Metrics
from common.settings import HttpSettings

# Default port of the API, if STORYHASH_HTTP__PORT is not set.
API_PORT = 8000
# Threads that write the metrics. Slow routes do not use them.
_METRICS_THREADS = 2
# After the time of running requests, for their last response.
_LAST_WORDS_SECONDS = 2.0


class HttpServer:
    """Serves an ASGI app in a thread. The main thread handles signals."""

    def __init__(
        self,
        app: ASGIApp,
        settings: HttpSettings,
        *,
        stop_seconds: float = 5.0,
        health_only: bool = False,
        protected: bool = False,
        bounds: ConnectionBounds | None = None,
    ) -> None:
        """stop_seconds: maximum time for running requests after `stop`. health_only: the app has only
        health and metrics, so it may listen on any address. protected: the app requires keys if other
        machines can reach it. bounds: limits of connections (default: those of the settings)."""
        self.port = API_PORT if settings.port is None else settings.port
        self._settings = settings
        self._stop_seconds = stop_seconds
        self._safe_anywhere = health_only or protected or settings.allow_unauthenticated
        self._config = uvicorn.Config(
            app,
            http=bounded_protocol(bounds or ConnectionBounds.of(settings)),
            ws="none",
            lifespan="off",
            log_config=None,
            # Invalid requests are answered, not logged.
            log_level="error",
            timeout_keep_alive=max(1, math.ceil(settings.keep_alive_seconds)),
            access_log=False,
            server_header=False,
            # A client could forge these headers and have its connections counted for another address.
            proxy_headers=False,
            timeout_graceful_shutdown=math.ceil(stop_seconds + _LAST_WORDS_SECONDS),
        )
        self._server = uvicorn.Server(self._config)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address of the server for clients on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._settings.host, self._settings.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def __enter__(self) -> HttpServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start to listen; returns when the server accepts requests. With port 0 a free port is taken;
        `port` has its number.

        Raises UsageError if the address or port cannot be used, SettingsError if other machines can reach
        the server although it is not protected.
        """
        if not self._safe_anywhere:
            _require_loopback(self._settings.host)
        listener = _listen(self._settings.host, self.port)
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="http", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise StoryHashError("the HTTP server stopped at start-up; see its log")
            time.sleep(0.005)

    @property
    def running(self) -> bool:
        """Whether the server thread runs: from `start` to `stop`, unless it crashed."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Accept no more requests, finish the running ones within `stop_seconds`, and close. Those that
        run longer are answered with 503."""
        if self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(self._stop_seconds)
        if self._thread.is_alive():
            with suppress(RuntimeError):  # The loop has ended meanwhile.
                self._loop.call_soon_threadsafe(self._cancel_requests)
            self._thread.join(2 * _LAST_WORDS_SECONDS)
        self._thread = None

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return self._server.servers[0].get_loop()

    def _cancel_requests(self) -> None:
        """While the loop runs: uvicorn cancels them just before the loop ends, so no answer gets out."""
        for request in self._server.server_state.tasks:
            request.cancel()


def _require_loopback(host: str) -> None:
    try:
        if is_loopback(host):
            return
    except OSError as error:
        raise _no_address(host, error) from None
    raise SettingsError(
        f"whoever reaches {host} could read, add and delete videos, because there is no "
        "authentication: set STORYHASH_HTTP__HOST to 127.0.0.1, or "
        "STORYHASH_HTTP__ALLOW_UNAUTHENTICATED=true in a protected network"
    )


def _no_address(host: str, error: OSError) -> UsageError:
    return UsageError(f"cannot listen on {host!r} ({error.strerror}); change STORYHASH_HTTP__HOST")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise _no_address(host, error) from None
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # The message of create_server contains the address a second time.
        why = (error.strerror or str(error)).split(" (")[0]
        raise UsageError(
            f"cannot listen on {host}:{port}: {why}; set STORYHASH_HTTP__PORT to another "
            "port (0 takes a free one) or STORYHASH_HTTP__HOST to another address"
        ) from None


def health_router(health: Health, metrics: Metrics) -> APIRouter:
    """Routes: `/livez` (should the process be restarted), `/readyz` (can it work) and `/metrics`."""
    router = APIRouter(tags=["health"])
    limiter = CapacityLimiter(_METRICS_THREADS)

    @router.get(
        "/livez",
        responses={
            200: {"model": Liveness},
            503: {"model": Liveness, "description": "The service should be restarted."},
        },
    )
    async def livez() -> Response:
        """Liveness: 503 means that the service should be restarted."""
        reason = health.stuck()
        if reason:
            return json_response({"status": "stuck", "reason": reason}, 503)
        return json_response({"status": "ok"})

    @router.get(
        "/readyz",
        responses={
            200: {"model": Readiness},
            503: {"model": Readiness, "description": "The service is not ready."},
        },
    )
    async def readyz() -> Response:
        """Readiness: 503 lists what the service waits for."""
        reasons = health.reasons()
        if reasons:
            return json_response({"status": "not ready", "reasons": reasons}, 503)
        warnings = health.warnings()
        return json_response({"status": "ok", **({"warnings": warnings} if warnings else {})})

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def exposition() -> Response:
        """All metrics in the Prometheus text format."""
        text = await to_thread.run_sync(generate_latest, metrics.registry, limiter=limiter)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    return router


def new_app(
    title: str,
    health: Health,
    metrics: Metrics,
    settings: HttpSettings | None = None,
    access: Access | None = None,
    open_paths: Collection[str] = (),
) -> DocumentedApp:
    """An app with health, metrics, error handlers and limits. Its OpenAPI document is at /openapi.json.
    access: decides who may call it; None allows every caller. open_paths: paths that never need a key."""
    settings = settings or HttpSettings()
    app = DocumentedApp(title=title, docs_url=None, redoc_url=None)
    error_handlers(app)
    app.add_middleware(DirectRoutes, routes=app.direct)
    app.add_middleware(AnswerAtStop)
    app.add_middleware(HeadAsGet)
    if access is not None:
        app.add_middleware(
            KeyGuard, access=access, settings=settings, open_paths=frozenset(open_paths)
        )
    # The middleware added last runs first: a page of another origin is refused before its key is checked.
    app.add_middleware(RequestGuard, settings=settings)
    app.add_middleware(RequestLog, settings=settings, metrics=metrics)
    app.add_routes(health_router(health, metrics))
    return app


def health_app(health: Health, metrics: Metrics, settings: HttpSettings | None = None) -> FastAPI:
    """An app with only health and metrics."""
    return new_app("StoryHash", health, metrics, settings)
