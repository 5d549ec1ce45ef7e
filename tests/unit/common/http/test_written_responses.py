"""What a connection writes: each response in as few parts as it has, and when an idle one is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import uvicorn
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from common.http.connection import BoundedProtocol, ConnectionBounds, bounded_protocol
from common.settings import HttpSettings

HEAD = b"HTTP/1.1 200 OK\r\n"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
KEPT_SECONDS = 7


class Transport(asyncio.Transport):
    """Notes what is written in one go. ended: set when it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ended = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.written.append(b"".join(list_of_data))

    def close(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.ended

    def get_write_buffer_size(self) -> int:
        return 0

    def resume_reading(self) -> None: ...

    def pause_reading(self) -> None: ...


def connected(app: ASGIApp) -> tuple[BoundedProtocol, Transport]:
    """A new connection to an app. Call it in an event loop."""
    config = uvicorn.Config(app, timeout_keep_alive=KEPT_SECONDS, log_config=None, lifespan="off")
    config.load()
    made: Any = bounded_protocol(ConnectionBounds.of(HttpSettings()))
    protocol, transport = made(config, ServerState(), {}), Transport()
    protocol.connection_made(transport)
    return protocol, transport


def written(app: ASGIApp, *requests: bytes) -> list[bytes]:
    """What a connection writes in answer to requests that come one after another."""

    async def talk() -> list[bytes]:
        protocol, transport = connected(app)
        for request in requests:
            protocol.data_received(request)
            while protocol.tasks:
                await asyncio.sleep(0)
        return transport.written

    return asyncio.run(talk())


async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with a head alone."""
    await Response(status_code=204)(scope, receive, send)


async def streamed(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers in parts."""
    await StreamingResponse(iter([b"one", b"two"]))(scope, receive, send)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, and sends it back."""
    message = await receive()
    while message["more_body"]:
        message = await receive()
    await Response(message["body"])(scope, receive, send)


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    """Ends within its answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("within the answer")


def test_head_and_body_are_written_at_once() -> None:
    found = written(Response(b"answer"), GET, GET)
    assert len(found) == 2
    assert all(one.startswith(HEAD) and one.endswith(b"\r\n\r\nanswer") for one in found)


def test_only_the_first_part_of_a_body_comes_with_the_head() -> None:
    first, *others = written(streamed, GET)
    assert first.startswith(HEAD)
    assert first.endswith(b"3\r\none\r\n")
    assert b"".join(others) == b"3\r\ntwo\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("app", "request_", "status"),
    [(empty, GET, b"204"), (Response(b"answer"), GET.replace(b"GET", b"HEAD"), b"200")],
)
def test_a_head_without_a_body_is_written(app: ASGIApp, request_: bytes, status: bytes) -> None:
    assert [(one.split()[1], one[-4:]) for one in written(app, request_)] == [(status, b"\r\n\r\n")]


def test_a_head_is_written_although_its_body_fails() -> None:
    (found,) = written(broken, GET)
    assert found.startswith(HEAD)


def test_a_client_that_waits_before_its_body_is_told_to_go_on() -> None:
    head = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    )

    async def talk() -> list[bytes]:
        protocol, transport = connected(echo)
        protocol.data_received(head)
        while not transport.written:
            await asyncio.sleep(0)
        protocol.data_received(b"body")
        while protocol.tasks:
            await asyncio.sleep(0)
        return transport.written

    goes_on, answer = asyncio.run(talk())
    assert goes_on == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(HEAD)
    assert answer.endswith(b"\r\n\r\nbody")


def closed_after(seconds: float, meanwhile: Callable[[BoundedProtocol], object]) -> bool:
    """Whether a connection is closed so long after its first answer. meanwhile: what it got then."""

    async def talk() -> bool:
        protocol, transport = connected(Response(b"answer"))
        protocol.data_received(GET)
        while protocol.tasks:
            await asyncio.sleep(0)
        meanwhile(protocol)
        protocol.look(protocol.loop.time() + seconds)
        ended = transport.ended
        protocol.connection_lost(None)
        return ended

    return asyncio.run(talk())


def test_an_idle_connection_is_closed_after_its_time() -> None:
    assert closed_after(KEPT_SECONDS + 1, lambda _: None)
    assert not closed_after(0, lambda _: None)


def test_a_connection_with_another_request_is_not_idle() -> None:
    assert not closed_after(KEPT_SECONDS + 1, lambda protocol: protocol.data_received(GET))
