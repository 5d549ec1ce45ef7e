"""A real server and raw sockets: what is slow, endless or half-open holds nothing that others need."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from common.cancellation import Cancellation
from common.errors import SettingsError
from common.http.connection import ConnectionBounds, network_of
from common.http.guard import RequestGuard
from common.http.health import Health
from common.http.load_shedding import LoadShedder
from common.http.request_body import read_json
from common.http.server import HttpServer, health_app, new_app
from common.http.upload import UploadStore
from common.metrics import Metrics
from common.settings import HttpSettings
from tests.support.queries import error_of

SETTINGS = HttpSettings(
    port=0,
    body_window_seconds=0.4,
    max_uploads=4,
    max_uploads_per_address=3,
    max_uploads_bytes=100_000,
    max_upload_bytes=80_000,
)
# Where a test is not about how slowly a body may come.
PATIENT = SETTINGS.model_copy(update={"body_window_seconds": 3600.0})
BOUNDS = ConnectionBounds(connections=6, per_address=4, head_seconds=0.4, drain_seconds=0.4)
PATIENT_BOUNDS = ConnectionBounds(connections=6, per_address=4, head_seconds=3600.0)


class Service:
    """Uploads, JSON and slow work behind a server of small bounds."""

    def __init__(self, folder: Path, settings: HttpSettings = SETTINGS) -> None:
        metrics = Metrics.create("test")
        self.app = new_app("test", Health(metrics, (), 3600.0), metrics, settings)
        self.begun, self.ended = threading.Semaphore(0), threading.Semaphore(0)
        self.folder = folder
        uploads, load_shedder = UploadStore(settings), LoadShedder(1, 1)

        @self.app.post("/upload")
        async def upload(request: Request) -> Response:
            async with uploads.asked(request, frozenset({"uri"})) as given, load_shedder.entered():
                size = given.path.stat().st_size if given.path else 0
                return Response(str(await load_shedder.run(lambda _: size, request.receive)))

        @self.app.post("/json")
        async def small(request: Request) -> Response:
            return Response(str(len(await read_json(request, 1000))))

        @self.app.post("/work")
        async def work(request: Request) -> Response:
            async with uploads.asked(request, frozenset({"uri"})), load_shedder.entered():
                return Response(await load_shedder.run(self._until_cancelled, request.receive))

        @self.app.get("/large")
        async def large() -> Response:
            return Response(b"x" * (32 << 20))

    def _until_cancelled(self, cancellation: Cancellation) -> bytes:
        self.begun.release()
        try:
            while True:
                cancellation.check()
                time.sleep(0.01)
        finally:
            self.ended.release()

    def lying(self) -> list[Path]:
        """Uploads on disk."""
        return list(self.folder.iterdir())


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Service(tmp_path)


@pytest.fixture
def patient_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Service(tmp_path, PATIENT)


@pytest.fixture
def server(service: Service) -> Iterator[HttpServer]:
    with HttpServer(service.app, SETTINGS, bounds=BOUNDS, stop_seconds=1.0) as started:
        yield started


@pytest.fixture
def patient_server(patient_service: Service) -> Iterator[HttpServer]:
    """Where a test is about numbers and sizes: it waits as long as a busy machine needs."""
    with HttpServer(
        patient_service.app, PATIENT, bounds=PATIENT_BOUNDS, stop_seconds=1.0
    ) as started:
        yield started


def opened(server: HttpServer, source: str = "127.0.0.1") -> socket.socket:
    """A connection from an address of this machine."""
    made = socket.create_connection(("127.0.0.1", server.port), 60, (source, 0))
    made.settimeout(60)
    return made


def told(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    blocks = []
    with contextlib.suppress(ConnectionError):
        while block := connection.recv(1 << 16):
            blocks.append(block)
    return b"".join(blocks)


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that needs no deadline of its own; the test's is generous."""
    while not condition():
        time.sleep(0.01)


def alive(server: HttpServer) -> bool:
    return httpx.get(f"{server.url}/livez", timeout=300).is_success


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def endless(piece: bytes, connection: socket.socket) -> None:
    """Send it again and again, until the server has had enough."""
    with contextlib.suppress(ConnectionError):
        for _ in range(100_000):
            connection.sendall(piece)
        pytest.fail("it was read for ever")


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        (head("/livez", method="GET")[:-2], b"X-%d: y\r\n" * 100),
        (head("/livez", method="GET")[:-2] + b"X: ", b"y" * 1000),
        (b"GET /livez?", b"y" * 1000),
        (b"", b"\r\n" * 500),
    ],
    ids=["headers", "one-header", "address", "nothing"],
)
def test_a_head_without_end_is_cut_off(
    patient_server: HttpServer, begun: bytes, piece: bytes
) -> None:
    with opened(patient_server) as connection:
        connection.sendall(begun)
        endless(piece, connection)
        answer = told(connection)
    assert not answer or status(answer) == 431
    assert alive(patient_server)


@pytest.mark.parametrize(("count", "expected"), [(90, 200), (200, 431)])
def test_a_head_has_so_many_headers(patient_server: HttpServer, count: int, expected: int) -> None:
    lines = [f"X-{number}: y" for number in range(count)]
    with opened(patient_server) as connection:
        connection.sendall(head("/livez", *lines, "Connection: close", method="GET"))
        assert status(told(connection)) == expected


@pytest.mark.parametrize(("size", "expected"), [(15_000, 200), (17_000, 431)])
def test_a_head_has_so_many_bytes(patient_server: HttpServer, size: int, expected: int) -> None:
    with opened(patient_server) as connection:
        lines = ("X: " + "y" * size, "Connection: close")
        connection.sendall(head("/livez", *lines, method="GET"))
        assert status(told(connection)) == expected


def test_trailers_without_end_are_cut_off(patient_server: HttpServer) -> None:
    with opened(patient_server) as connection:
        connection.sendall(head("/upload", "Transfer-Encoding: chunked"))
        connection.sendall(b"1\r\nx\r\n0\r\nX: ")
        endless(b"y" * 1000, connection)
    assert alive(patient_server)


@pytest.mark.parametrize("begun", [b"", b"GET /li", b"\r\n", head("/livez")[:-2]])
def test_a_head_that_does_not_come_is_given_up_on(server: HttpServer, begun: bytes) -> None:
    with opened(server) as connection:
        connection.sendall(begun)
        assert status(told(connection)) == 408


def test_a_head_that_comes_byte_by_byte_is_given_up_on(server: HttpServer) -> None:
    with opened(server) as connection, contextlib.suppress(ConnectionError):
        for byte in head("/livez", "X: " + "y" * 10_000):
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
        pytest.fail("it was waited for")


@pytest.mark.parametrize(
    ("path", "kind", "begun"),
    [
        ("/upload", "application/octet-stream", b"vid"),
        ("/upload", "multipart/form-data; boundary=line", b"--line\r\n"),
        ("/upload", "application/json", b'{"uri":'),
        ("/json", "application/json", b'{"uri":'),
    ],
)
@pytest.mark.parametrize("trickles", [False, True], ids=["silent", "slow"])
def test_a_body_that_comes_too_slowly_is_given_up_on(
    server: HttpServer, service: Service, path: str, kind: str, begun: bytes, trickles: bool
) -> None:
    with opened(server) as connection:
        connection.sendall(head(path, f"Content-Type: {kind}", "Content-Length: 900") + begun)
        with contextlib.suppress(ConnectionError):
            for _ in range(50 * trickles):
                connection.sendall(b"x")
                time.sleep(0.02)
        answer = told(connection)
    assert status(answer) == 408
    assert b"connection: close" in answer.lower()
    assert service.lying() == []


def test_a_body_at_a_good_rate_may_take_many_windows() -> None:
    """Each block takes a second of the event loop's clock."""
    sent = 0

    async def receive() -> Message:
        nonlocal sent
        sent += 1
        await asyncio.sleep(0.001)
        return {"type": "http.request", "body": b"x" * 6000, "more_body": sent < 100}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        now = loop.time
        loop.time = lambda: now() + sent  # type: ignore[method-assign]
        guard = RequestGuard(app, SETTINGS.model_copy(update={"body_window_seconds": 4.0}))
        scope = {"type": "http", "method": "POST", "path": "/upload", "headers": []}
        runner.run(guard(scope, receive, None))  # type: ignore[arg-type]
    assert sent == 100


def test_a_body_at_a_good_rate_ends_at_its_total_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its size nor the rate in a window is what ends it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    large = {"max_upload_bytes": 2_000_000, "max_uploads_bytes": 2_000_000}
    bounded = PATIENT.model_copy(update={"max_body_seconds": 0.4, **large})
    service = Service(tmp_path, bounded)
    with HttpServer(service.app, bounded, stop_seconds=1.0) as server, opened(server) as connection:
        connection.sendall(head("/upload", "Content-Type: video/mp4", "Content-Length: 1000000"))
        for _ in range(1000):
            if select.select([connection], [], [], 0.02)[0]:
                break
            connection.sendall(b"x" * 600)
        else:
            pytest.fail("it was read for ever")
        assert status(told(connection)) == 408
        eventually(lambda: service.lying() == [])


def test_a_body_nobody_wants_is_not_read_for_ever(server: HttpServer) -> None:
    with opened(server) as connection:
        connection.sendall(head("/livez", "Content-Length: 1000000000", method="GET"))
        connection.sendall(b"x")
        assert status(told(connection)) == 200


def begun_upload(server: HttpServer, source: str = "127.0.0.1") -> socket.socket:
    connection = opened(server, source)
    connection.sendall(
        head("/upload", "Content-Type: video/mp4", "Content-Length: 79000") + b"x" * 30_000
    )
    return connection


def test_uploads_under_way_hold_no_place_of_those_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than the gate has places, and each of them may still take its time."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    service = Service(tmp_path, PATIENT)
    with HttpServer(service.app, PATIENT, stop_seconds=1.0) as server, contextlib.ExitStack() as on:
        for number in range(3):
            on.enter_context(begun_upload(server, f"127.0.0.{2 + number}"))
        eventually(lambda: len(service.lying()) == 3)
        video = {"Content-Type": "video/mp4"}
        answer = httpx.post(f"{server.url}/upload", content=b"video", headers=video, timeout=300)
        assert (answer.status_code, answer.text) == (200, "5")
        # Three times 30 kB lie there, and there is room for 100 kB.
        large = httpx.post(
            f"{server.url}/upload", content=b"x" * 20_000, headers=video, timeout=300
        )
        assert error_of(large) == (503, "busy")
        assert large.headers["Retry-After"] == "5"
    eventually(lambda: service.lying() == [])


def test_uploads_of_one_address_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    service = Service(tmp_path, PATIENT)
    with (
        HttpServer(service.app, PATIENT, stop_seconds=1.0) as server,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(3):
            stack.enter_context(opened(server)).sendall(
                head("/upload", "Content-Type: video/mp4", "Content-Length: 79000") + b"x" * 600
            )
        eventually(lambda: len(service.lying()) == 3)
        fourth = stack.enter_context(opened(server))
        fourth.sendall(head("/upload", "Content-Type: video/mp4", "Content-Length: 5"))
        answer = told(fourth)
        assert status(answer) == 503
        assert b"uploads from your address" in answer
    eventually(lambda: service.lying() == [])


def test_work_ends_when_its_caller_has_gone_and_the_next_has_its_turn(
    patient_server: HttpServer, patient_service: Service
) -> None:
    for _ in range(3):
        with opened(patient_server) as connection:
            connection.sendall(
                head("/work", "Content-Type: video/mp4", "Content-Length: 5") + b"video"
            )
            assert patient_service.begun.acquire(timeout=300)
            assert not patient_service.ended.acquire(blocking=False)
        assert patient_service.ended.acquire(timeout=300)
    eventually(lambda: patient_service.lying() == [])
    video = {"Content-Type": "video/mp4"}
    answer = httpx.post(
        f"{patient_server.url}/upload", content=b"video", headers=video, timeout=300
    )
    assert answer.text == "5"


def test_connections_of_one_address_are_bounded_and_so_are_all(patient_server: HttpServer) -> None:
    def ask(connection: socket.socket) -> bytes:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head("/livez", method="GET"))
        return connection.recv(1 << 16)

    with contextlib.ExitStack() as stack:
        mine = [stack.enter_context(opened(patient_server)) for _ in range(4)]
        assert [status(ask(one)) for one in mine] == [200] * 4
        with opened(patient_server) as fifth:
            assert status(told(fifth)) == 503
        others = [stack.enter_context(opened(patient_server, "127.0.0.2")) for _ in range(2)]
        assert [status(ask(one)) for one in others] == [200] * 2
        with opened(patient_server, "127.0.0.3") as seventh:
            assert status(told(seventh)) == 503
    eventually(lambda: _answers(patient_server))


def _answers(server: HttpServer) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{server.url}/livez", timeout=300).is_success
    return False


def test_an_address_may_have_as_many_connections_as_it_likes_where_none_is_bounded(
    service: Service,
) -> None:
    bounds = ConnectionBounds(connections=50, per_address=0, head_seconds=60.0)
    with HttpServer(service.app, SETTINGS, bounds=bounds) as server, contextlib.ExitStack() as on:
        for _ in range(40):
            connection = on.enter_context(opened(server))
            connection.sendall(head("/livez", method="GET"))
            assert status(connection.recv(1 << 16)) == 200


def test_an_answer_that_nobody_reads_is_let_go_of(service: Service) -> None:
    bounds = ConnectionBounds(1, 0, head_seconds=3600.0, unread_seconds=0.4)
    with HttpServer(service.app, SETTINGS, bounds=bounds) as server, opened(server) as connection:
        connection.sendall(head("/large", method="GET"))
        # There is place for one connection, so another is answered once this one is closed.
        eventually(lambda: _answers(server))
        assert 0 < len(told(connection)) < 32 << 20


def test_requests_without_waiting_for_an_answer_are_bounded(
    patient_server: HttpServer, patient_service: Service
) -> None:
    with opened(patient_server) as connection:
        work = head("/work", "Content-Type: video/mp4", "Content-Length: 5") + b"video"
        connection.sendall(work)
        assert patient_service.begun.acquire(timeout=300)
        endless(head("/livez", method="GET") * 20, connection)
    assert patient_service.ended.acquire(timeout=300)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT host:1 HTTP/1.1\r\nHost: host:1\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        head("/livez", "Host: elsewhere", "Connection: close", method="GET"),
    ],
)
def test_what_is_no_request_is_refused_and_nothing_else(
    patient_server: HttpServer, sent: bytes
) -> None:
    with opened(patient_server) as connection:
        connection.sendall(sent)
        answer = told(connection)
    assert not answer or status(answer) in (200, 400, 403)
    assert alive(patient_server)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_caller_is_an_address_or_an_ipv6_network(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_listening_beyond_this_machine_wants_a_word_that_the_network_protects_it(host: str) -> None:
    app = health_app(Health(None, (), 60.0), Metrics.create("test"))
    server = HttpServer(app, HttpSettings(host=host, port=0))
    with pytest.raises(SettingsError, match="STORYHASH_HTTP__ALLOW_UNAUTHENTICATED=true"):
        server.start()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.9"])
def test_this_machine_may_always_be_listened_at(host: str) -> None:
    app = health_app(Health(None, (), 60.0), Metrics.create("test"))
    with HttpServer(app, HttpSettings(host=host, port=0)) as server:
        assert alive(server)


def test_health_alone_may_be_told_to_the_network() -> None:
    app = health_app(Health(None, (), 60.0), Metrics.create("test"))
    with HttpServer(app, HttpSettings(host="0.0.0.0", port=0), health_only=True) as server:
        assert alive(server)
