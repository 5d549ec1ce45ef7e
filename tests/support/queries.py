"""A client that calls an app over HTTP without a socket, and one that sends exactly given messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Self, TypeVar

import httpx
from starlette.types import ASGIApp, Message, Scope

from common.http.error_codes import error_codes
from common.http.error_schemas import PROBLEM_TYPE, ErrorAnswer, problem

Result = TypeVar("Result")


class Client:
    """Sends requests to one app. All run on one event loop, as in a server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://localhost",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def run(self, work: Awaitable[Result]) -> Result:
        """Run an awaitable on the event loop of the app."""

        async def awaited() -> Result:
            return await work

        return self._runner.run(awaited())

    def send(self, method: str, path: str, **request: Any) -> Awaitable[httpx.Response]:
        """Start a request without waiting, so that several can run at once."""
        return self._client.request(method, path, **request)

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return self.run(self.send(method, path, **request))

    def get(self, path: str, **request: Any) -> httpx.Response:
        return self.ask("GET", path, **request)

    def delete(self, path: str) -> httpx.Response:
        return self.ask("DELETE", path)

    def post(self, path: str, **request: Any) -> httpx.Response:
        return self.ask("POST", path, **request)

    def blocks(
        self,
        path: str,
        blocks: Iterable[bytes],
        headers: Sequence[tuple[str, str]] = (),
        *,
        whole: bool = True,
    ) -> int:
        """Post a body block by block. whole: False disconnects before its end. Returns the status."""
        waiting: list[Message] = [
            {"type": "http.request", "body": block, "more_body": True} for block in blocks
        ]
        end: Message = (
            {"type": "http.request", "body": b""} if whole else {"type": "http.disconnect"}
        )
        waiting.append(end)
        told: list[Message] = []

        async def receive() -> Message:
            if not waiting:
                # After the end, no message comes until the client disconnects.
                await asyncio.Event().wait()
            return waiting.pop(0)

        async def send(message: Message) -> None:
            told.append(message)

        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
        }
        self.run(self.app(scope, receive, send))
        return int(told[0]["status"])


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error response. Also checks its form."""
    assert answer.headers["Content-Type"] == PROBLEM_TYPE
    told = answer.json()
    ErrorAnswer.model_validate(told)
    assert told == problem(answer.status_code, told["code"], told["title"], told["detail"])
    known = error_codes()[told["code"]]
    assert told["title"] == known.title
    assert answer.status_code in known.statuses
    assert told["detail"]
    assert "\n" not in told["detail"]
    return answer.status_code, told["code"]


def message_of(answer: httpx.Response) -> str:
    """The message of an error response."""
    return str(answer.json()["error"]["message"])
