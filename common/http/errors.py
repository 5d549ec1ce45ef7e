"""Answers as JSON, and every error as one; nothing of the inside of a server is told."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from common.errors import ModelMismatchError, StoryHashError, VideoError
from common.http.request_facts import REQUEST_ID_HEADER, facts_of

_log = logging.getLogger("storyhash.http")
# By exit code: the caller's mistake, a dependency that is down; everything else is ours.
_STATUS = {2: 400, 3: 503}
_ROUTE_CODES = {404: "no_such_route", 405: "method_not_allowed"}
_NO_CLIENT = 499
# An absolute path, but not the path of an address such as https://host/film.mp4.
_PATH = re.compile(r"(?<![\w/:.~%-])(?:[A-Za-z]:)?/(?:[^\s/'\"`;,:()]+/)*[^\s/'\"`;,:()]+/?")


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
        # Metadata is the user's own, and JSON has integers and text that orjson has not.
        plain = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(plain).encode()


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
    status = 422 if isinstance(error, VideoError) else _STATUS.get(error.exit_code, 500)
    if status >= 500:
        # Whoever runs the server may know the path that its caller is not told.
        _log.warning("answered %d: %s", status, error)
    told = without_paths(str(error))
    if isinstance(error, ModelMismatchError):
        # What was to be uploaded is not worth reading.
        return error_response(409, error.code, told, {"Connection": "close"})
    return error_response(status, error.code, told)


def without_paths(message: str) -> str:
    """A message without its absolute paths: where files of a server lie is not its callers' business."""
    return _PATH.sub("(a path)", message)


def error_handlers(app: FastAPI) -> None:
    """Have every error answered as `{"error": {"code", "message"}}`, and no traceback shown."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, StoryHashError)
        facts_of(request.scope).code = error.code
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

    async def unforeseen(request: Request, error: Exception) -> Response:
        # Starlette raises it again, so that the server logs it with its traceback and ends the
        # connection: a caller that is told so asks its next question on another one.
        message = f"internal error ({type(error).__name__})"
        headers = {"Connection": "close", REQUEST_ID_HEADER: facts_of(request.scope).request_id}
        return error_response(500, "internal", message, headers)

    app.add_exception_handler(StoryHashError, ours)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, no_route)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unforeseen)
