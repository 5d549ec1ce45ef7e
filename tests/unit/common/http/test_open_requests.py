"""A server knows whether a request is the only open one, whatever became of the others."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from common.http.request_facts import is_alone
from common.http.server import HttpServer
from common.settings import HttpSettings

SETTINGS = HttpSettings(port=0)


class Held:
    """Answers whether a request is alone. One to /held waits for another to /release, or until its client
    has gone; one to /broken fails."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Semaphore(0), threading.Semaphore(0)
        self._released = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = b"alone" if is_alone(scope) else b"not alone"
        if scope["path"] == "/broken":
            raise RuntimeError("broken")
        if scope["path"] == "/release":
            self._released.set()
        if scope["path"] == "/held":
            self.begun.release()
            await self._until_released_or_gone(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})
        if scope["path"] == "/held":
            self.ended.release()

    async def _until_released_or_gone(self, receive: Receive) -> None:
        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        waits = [asyncio.ensure_future(gone()), asyncio.ensure_future(self._released.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()


@pytest.fixture
def app() -> Held:
    return Held()


@pytest.fixture
def server(app: Held) -> Iterator[HttpServer]:
    with HttpServer(app, SETTINGS, stop_seconds=1.0) as started:
        yield started


def get(server: HttpServer, path: str = "/") -> str:
    return httpx.get(f"{server.url}{path}", timeout=300).text


def held(server: HttpServer, app: Held) -> socket.socket:
    """The connection of a request that waits."""
    connection = socket.create_connection(("127.0.0.1", server.port), 60)
    connection.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert app.begun.acquire(timeout=300)
    return connection


def test_a_request_is_alone_unless_another_one_is_open(server: HttpServer, app: Held) -> None:
    assert get(server) == "alone"
    with held(server, app):
        assert get(server) == "not alone"
        get(server, "/release")
        assert app.ended.acquire(timeout=300)
        assert get(server) == "alone"


def test_a_request_whose_client_has_gone_is_not_open(server: HttpServer, app: Held) -> None:
    held(server, app).close()
    assert app.ended.acquire(timeout=300)
    assert get(server) == "alone"


def test_a_request_that_failed_is_not_open(server: HttpServer) -> None:
    assert get(server, "/broken") == "Internal Server Error"
    assert get(server) == "alone"


def test_a_server_that_does_not_count_says_nothing() -> None:
    assert not is_alone({"type": "http"})
