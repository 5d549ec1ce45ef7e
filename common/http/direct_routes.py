"""Routes on a hot path, called without FastAPI's routing and parsing, which cost more than a search of
vectors. They are documented like every other route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from common.errors import StoryHashError
from common.http.errors import CLIENT_GONE, to_response
from common.http.request_facts import facts_of

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class DirectRoute:
    """One route. Its role is checked, and its errors are answered, as those of other routes."""

    def __init__(self, route: APIRoute, endpoint: Endpoint) -> None:
        """route: the documented one, for the role, metrics and names of parameters."""
        self._route = route
        self._endpoint = endpoint
        self._checks = [given.dependency for given in route.dependencies if given.dependency]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self._route
        request = Request(scope, receive, send)
        try:
            for check in self._checks:
                await check(request)
            response = await self._endpoint(request)
        except StoryHashError as error:
            facts_of(scope).code = error.code
            response = to_response(error)
        except ClientDisconnect:
            response = Response(status_code=CLIENT_GONE)
        await response(scope, receive, send)


class DirectRoutes:
    """The innermost middleware. It calls the routes in `routes`, by method and path, and passes every
    other request on."""

    def __init__(self, app: ASGIApp, routes: Mapping[tuple[str, str], DirectRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        called: ASGIApp = self._app
        if scope["type"] == "http":
            called = self._routes.get((scope["method"], scope["path"]), self._app)
        await called(scope, receive, send)
