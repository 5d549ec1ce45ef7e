"""JSON responses, including all errors. Errors reveal no internals of the server."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import orjson
from anyio import to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from common.errors import ModelMismatchError, StoryHashError, TooManyJobsError, UsageError
from common.http.error_codes import status_of, title_of
from common.http.error_schemas import PROBLEM_TYPE, problem
from common.http.request_facts import facts_of
from common.log_context import REQUEST_ID_HEADER
from common.printable import printable

_log = logging.getLogger("storyhash.http")
# The status in logs and metrics where the client disconnected.
CLIENT_GONE = 499
_JOBS_RETRY_SECONDS = 30
# Service unavailable, gateway time-out, insufficient storage: no error of the service itself.
_TEMPORARY = frozenset({503, 504, 507})
# An absolute path, but not the path of an address such as https://host/film.mp4.
_PATH = re.compile(r"(?<![\w/:.~%-])(?:[A-Za-z]:)?/(?:[^\s/'\"`;,:()]+/)*[^\s/'\"`;,:()]+/?")


class ApiError(StoryHashError):
    """An error with its own HTTP status. close: close the connection after the response; this is
    necessary if the body was not read, because its rest would have to be read before the next
    request."""

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
        self.exit_code = 3 if status in (429, 503) else 1 if status >= 500 else 2
        self.headers = {**(headers or {}), **({"Connection": "close"} if close else {})}


def not_here(message: str, *, close: bool = False) -> ApiError:
    """The error of what another service does. message: which one. close: see `ApiError`."""
    return ApiError(501, "not_here", message, close=close)


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A value as JSON; NaN and infinity become null."""
    return Response(to_json(value), status, headers, "application/json")


def to_json(value: Any) -> bytes:
    """A value as JSON; NaN and infinity become null."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Metadata comes from the user, and Python's JSON accepts integers and text that orjson does not.
        plain = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(plain).encode()


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error as JSON, RFC 9457."""
    body = to_json(problem(status, code, title_of(code), message))
    return Response(body, status, headers, PROBLEM_TYPE)


def to_response(error: StoryHashError) -> Response:
    """A StoryHashError as a response. An ApiError has its own status."""
    if isinstance(error, ApiError):
        return error_response(error.status, error.code, str(error), error.headers)
    status = status_of(type(error))
    if status >= 500:
        # The log has the complete message; the response has it without paths. Warnings that repeat are
        # left out of the log.
        level = logging.WARNING if status in _TEMPORARY else logging.ERROR
        _log.log(level, "answered %d: %s", status, error)
    message = without_paths(str(error))
    if isinstance(error, ModelMismatchError):
        # The upload is not needed any more, so its body is not read.
        return error_response(status, error.code, message, {"Connection": "close"})
    if isinstance(error, TooManyJobsError):
        # The body was perhaps not read.
        headers = {"Retry-After": str(_JOBS_RETRY_SECONDS), "Connection": "close"}
        return error_response(status, error.code, message, headers)
    return error_response(status, error.code, message)


def without_paths(message: str) -> str:
    """A message with each absolute path replaced: callers must not learn where the server's files are."""
    return _PATH.sub("(a path)", message)


def _methods(request: Request) -> set[str]:
    """The methods of the path of a request. Its routes have one each, and Starlette names only those of
    the first one."""
    route = request.scope["route"]
    documented = request.app.openapi()["paths"].get(route.path_format, {})
    methods = {*route.methods, *map(str.upper, documented)}
    return methods | ({"HEAD"} if "GET" in methods else set())


def error_handlers(app: FastAPI) -> None:
    """Install handlers that answer every error with `error_response` and without a traceback."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, StoryHashError)
        facts_of(request.scope).code = error.code
        return to_response(error)

    async def malformed(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("query", "body"))
        return error_response(400, UsageError.code, f"{where or 'request'}: {first['msg']}")

    async def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            allowed = ", ".join(sorted(await to_thread.run_sync(_methods, request)))
            message = f"{request.method}: expected {allowed}"
            return error_response(405, "method_not_allowed", message, {"Allow": allowed})
        if error.status_code == 404:
            message = f"no route '{printable(request.url.path[:200])}'; /openapi.json lists them"
            return error_response(404, "no_such_route", message)
        return error_response(error.status_code, UsageError.code, error.detail, error.headers)

    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=CLIENT_GONE)

    async def unforeseen(request: Request, error: Exception) -> Response:
        # Starlette raises the error again, so that the server logs the traceback and closes the
        # connection. The header says so, and the client sends its next request on a new connection.
        message = f"internal error ({type(error).__name__})"
        headers = {"Connection": "close", REQUEST_ID_HEADER: facts_of(request.scope).request_id}
        return error_response(500, "internal", message, headers)

    app.add_exception_handler(StoryHashError, ours)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, no_route)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unforeseen)
