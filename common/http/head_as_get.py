"""HEAD is answered by the route of GET: load balancers, monitors and download programs send it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from common.http.request_facts import facts_of


class HeadAsGet:
    """A middleware between the log, which records the method of the caller, and the routes. The server
    sends no body of a response to HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        facts_of(scope).head_only = True
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, send)
        finally:
            # Metrics name the route.
            scope["route"] = as_get.get("route")
