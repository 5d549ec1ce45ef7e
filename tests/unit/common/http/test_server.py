"""A service over HTTP: it listens where it is told, and every refusal says what it is and what to do."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import orjson
import pytest
from fastapi import FastAPI, Query
from fastapi.responses import PlainTextResponse
from starlette.requests import Request
from starlette.responses import Response

from common.errors import (
    BrokerError,
    CorruptIndexError,
    EmbedderUnavailableError,
    MessageTooLargeError,
    ModelMismatchError,
    NoFramesError,
    NotReadyError,
    SettingsError,
    StoryHashError,
    UsageError,
    VideoError,
)
from common.http.errors import ApiError, json_response
from common.http.health import Health
from common.http.server import API_PORT, HttpServer, health_app, new_app
from common.http.upload import UploadStore
from common.metrics import Metrics
from common.settings import HttpSettings
from tests.support.queries import Client, error_of, message_of

ANYWHERE = HttpSettings(port=0)


class Service:
    """An app whose routes do what a test needs."""

    def __init__(self, stuck_seconds: float = 3600.0) -> None:
        self.metrics = Metrics.create("test")
        self.health = Health(self.metrics, ("index", "broker"), stuck_seconds)
        self.app = new_app("test", self.health, self.metrics)
        self.error: Exception = ValueError()
        self.begun, self.go_on = threading.Event(), threading.Event()

        @self.app.get("/fail")
        def fail() -> None:
            raise self.error

        @self.app.get("/count")
        def count(n: Annotated[int, Query(ge=1)]) -> int:
            return n

        @self.app.get("/slow")
        def slow() -> PlainTextResponse:
            self.begun.set()
            self.go_on.wait(300)
            return PlainTextResponse("done")

        @self.app.get("/endless")
        async def endless() -> None:
            self.begun.set()
            await asyncio.Event().wait()

        uploads = UploadStore(HttpSettings(max_upload_bytes=1 << 20))

        @self.app.post("/asked")
        async def upload(request: Request) -> Response:
            async with uploads.asked(request, frozenset({"uri"})) as given:
                return PlainTextResponse(given.name)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.app) as made:
        yield made


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UsageError("k: expected 1 to 1000"), 400, "usage"),
        (SettingsError("unknown setting"), 400, "settings"),
        (ModelMismatchError("another model"), 409, "model_mismatch"),
        (VideoError("not readable"), 422, "unreadable"),
        (NoFramesError("no frame"), 422, "no_frames"),
        (BrokerError("Kafka does not answer"), 503, "broker"),
        (NotReadyError("the index is being opened"), 503, "not_ready"),
        (EmbedderUnavailableError("no embedder"), 503, "embedder"),
        (StoryHashError("something"), 500, "failed"),
        (CorruptIndexError("damaged"), 500, "corrupt_index"),
        (MessageTooLargeError("too large"), 500, "message_too_large"),
        (ApiError(404, "unknown_video", "no video 'a'"), 404, "unknown_video"),
    ],
)
def test_each_error_has_its_status(
    client: Client, service: Service, error: StoryHashError, status: int, code: str
) -> None:
    service.error = error
    answer = client.get("/fail")
    assert error_of(answer) == (status, code)
    assert message_of(answer) == str(error)


def test_a_code_an_error_was_given_is_told(client: Client, service: Service) -> None:
    service.error = VideoError("too long")
    service.error.code = "over_limit"
    assert error_of(client.get("/fail")) == (422, "over_limit")


def test_an_error_nobody_foresaw_tells_nothing_of_the_inside(
    client: Client, service: Service
) -> None:
    service.error = ValueError("password is hunter2")
    answer = client.get("/fail")
    assert error_of(answer) == (500, "internal")
    assert message_of(answer) == "internal error (ValueError)"


def test_a_refusal_that_ends_the_connection_says_so(client: Client, service: Service) -> None:
    service.error = ApiError(503, "busy", "full", close=True, headers={"Retry-After": "5"})
    headers = client.get("/fail").headers
    assert (headers["Connection"], headers["Retry-After"]) == ("close", "5")
    service.error = ApiError(404, "unknown_video", "no")
    assert "Connection" not in client.get("/fail").headers


@pytest.mark.parametrize(
    ("status", "exit_code"), [(400, 2), (404, 2), (413, 2), (429, 3), (500, 1), (501, 1), (503, 3)]
)
def test_a_refusal_is_somebodys_fault(status: int, exit_code: int) -> None:
    assert ApiError(status, "x", "y").exit_code == exit_code


def test_a_route_that_is_not_there_and_a_method_it_does_not_have(client: Client) -> None:
    nowhere = client.get("/nowhere")
    assert error_of(nowhere) == (404, "no_such_route")
    assert message_of(nowhere) == "no route '/nowhere'; /openapi.json lists them"
    answer = client.post("/count")
    assert error_of(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD"
    assert message_of(answer) == "POST: expected GET, HEAD"


def test_the_openapi_document_has_one_method(client: Client) -> None:
    answer = client.ask("OPTIONS", "/openapi.json")
    assert error_of(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_head_is_get_without_the_body(client: Client) -> None:
    for path, status in (("/livez", 200), ("/count?n=1", 200), ("/count?n=0", 400), ("/x", 404)):
        got, head = client.get(path), client.ask("HEAD", path)
        assert (got.status_code, head.status_code, head.content) == (status, status, b"")
        assert head.headers["content-length"] == got.headers["content-length"]


def test_no_path_is_redirected(client: Client) -> None:
    assert error_of(client.get("/count/?n=1")) == (404, "no_such_route")


def test_a_malformed_parameter_is_named(client: Client) -> None:
    answer = client.get("/count?n=0")
    assert error_of(answer) == (400, "usage")
    assert message_of(answer) == "n: Input should be greater than or equal to 1"
    assert message_of(client.get("/count")).startswith("n: ")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": math.nan, "b": [math.inf]}, {"a": None, "b": [None]}),
        ({"n": 2**70}, {"n": 2**70}),
        ({"n": 2**70, "x": [math.nan, -math.inf]}, {"n": 2**70, "x": [None, None]}),
        ({"film": "\ud800.mp4", "é": "é"}, {"film": "\ud800.mp4", "é": "é"}),
    ],
    ids=["no-number", "large", "large-and-no-number", "no-text"],
)
def test_whatever_a_user_keeps_with_a_video_can_be_told(value: Any, told: Any) -> None:
    body = bytes(json_response(value).body)
    assert b"NaN" not in body
    assert b"Infinity" not in body
    assert json.loads(body) == told


def test_liveness_is_lost_when_the_loop_is_silent() -> None:
    with Client(health_app(Health(None, (), 3600.0), Metrics.create("test"))) as living:
        assert living.get("/livez").json() == {"status": "ok"}
    with Client(health_app(Health(None, (), -1.0), Metrics.create("test"))) as stuck:
        answer = stuck.get("/livez")
        assert (answer.status_code, answer.json()["status"]) == (503, "stuck")
        assert answer.json()["reason"].startswith("the main loop has been silent for")


def test_readiness_tells_what_it_waits_for(client: Client, service: Service) -> None:
    service.health.met("index")
    service.health.unmet("broker", "Kafka at 127.0.0.1:9092 does not answer")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "reasons": {"broker": "Kafka at 127.0.0.1:9092 does not answer"},
    }
    service.health.met("broker")
    assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (
        200,
        {"status": "ok"},
    )


def test_metrics_are_told_in_prometheus_text_format(client: Client, service: Service) -> None:
    service.metrics.dead_letters_total.labels("embed", "unreadable").inc()
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'storyhash_dead_letters_total{reason="unreadable",stage="embed"} 1.0' in lines
    assert "storyhash_ready 0.0" in lines
    assert any(line.startswith('storyhash_build_info{service="test"') for line in lines)
    assert any(line.startswith("process_resident_memory_bytes") for line in lines)


def test_there_is_a_contract_and_no_page_that_loads_scripts_from_elsewhere(client: Client) -> None:
    contract = client.get("/openapi.json").json()
    assert {"/livez", "/readyz", "/metrics"} <= set(contract["paths"])
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


def test_port_0_takes_a_free_port_and_tells_it(service: Service) -> None:
    with HttpServer(service.app, ANYWHERE) as one, HttpServer(service.app, ANYWHERE) as other:
        assert one.port != other.port
        for server in (one, other):
            assert server.port > 0
            assert httpx.get(f"{server.url}/livez").json() == {"status": "ok"}


def test_without_a_port_it_is_the_apis(service: Service) -> None:
    assert HttpServer(service.app, HttpSettings()).port == API_PORT


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9"),
        ("0.0.0.0", "http://127.0.0.1:9"),
        ("::", "http://[::1]:9"),
        ("::1", "http://[::1]:9"),
        ("localhost", "http://localhost:9"),
    ],
)
def test_the_url_can_be_asked_from_this_machine(service: Service, host: str, url: str) -> None:
    assert HttpServer(service.app, HttpSettings(host=host, port=9)).url == url


def test_a_port_that_is_taken_names_the_setting_to_change(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = HttpServer(service.app, HttpSettings(port=port))
        with pytest.raises(
            UsageError,
            match=rf"cannot listen on 127.0.0.1:{port}: Address already in use; "
            "set STORYHASH_HTTP__PORT to another port",
        ):
            server.start()
        server.stop()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "not a host"])
def test_a_host_that_is_no_address_names_the_setting(service: Service, host: str) -> None:
    server = HttpServer(service.app, HttpSettings(host=host, port=0))
    with pytest.raises(UsageError, match=rf"cannot listen on '{host}' .* STORYHASH_HTTP__HOST"):
        server.start()


def test_an_address_of_another_machine_cannot_be_listened_at(service: Service) -> None:
    # RFC 5737 keeps these addresses for documentation: nobody has one.
    server = HttpServer(
        service.app, HttpSettings(host="192.0.2.1", port=0, allow_unauthenticated=True)
    )
    with pytest.raises(UsageError, match=r"cannot listen on 192.0.2.1:0: .*STORYHASH_HTTP__HOST"):
        server.start()


def asked(url: str, answers: list[httpx.Response]) -> threading.Thread:
    """A thread that has begun a request; it adds the answer."""
    asking = threading.Thread(target=lambda: answers.append(httpx.get(url, timeout=300)))
    asking.start()
    return asking


def test_stopping_finishes_the_requests_in_work_and_frees_the_port(service: Service) -> None:
    answers: list[httpx.Response] = []
    server = HttpServer(service.app, ANYWHERE, stop_seconds=30.0)
    server.start()
    asking = asked(f"{server.url}/slow", answers)
    assert service.begun.wait(300)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    service.go_on.set()
    asking.join(300)
    stopping.join(300)
    assert [answer.text for answer in answers] == ["done"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/livez")
    with HttpServer(service.app, HttpSettings(port=server.port)) as again:
        assert httpx.get(f"{again.url}/livez").is_success


def test_a_request_that_never_ends_does_not_keep_the_service_from_stopping(
    service: Service,
) -> None:
    server = HttpServer(service.app, ANYWHERE, stop_seconds=0.1)
    server.start()
    asking = threading.Thread(target=_ask_in_vain, args=(f"{server.url}/slow",))
    asking.start()
    assert service.begun.wait(300)
    server.stop()
    assert not service.go_on.is_set()
    service.go_on.set()
    asking.join(300)
    assert not asking.is_alive()


def test_a_request_that_the_stop_interrupts_is_told_so(service: Service) -> None:
    answers: list[httpx.Response] = []
    server = HttpServer(service.app, ANYWHERE, stop_seconds=0.1)
    server.start()
    asking = asked(f"{server.url}/endless", answers)
    assert service.begun.wait(300)
    server.stop()
    asking.join(300)
    assert [error_of(answer) for answer in answers] == [(503, "not_ready")]
    assert "the service stops" in message_of(answers[0])


def _ask_in_vain(url: str) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(url, timeout=300).raise_for_status()


def test_a_server_can_be_stopped_twice_and_before_it_began(service: Service) -> None:
    server = HttpServer(service.app, ANYWHERE)
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_a_body_nobody_read_is_not_taken_for_the_next_request(service: Service) -> None:
    """A refusal before the body's end leaves bytes on the connection that look like a request."""
    hidden = b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    with HttpServer(service.app, ANYWHERE) as server, httpx.Client(base_url=server.url) as client:
        for _ in range(3):
            refused = client.post(
                "/asked", content=hidden, headers={"Content-Type": "multipart/form-data"}
            )
            assert error_of(refused) == (400, "usage")
            assert client.get("/livez").json() == {"status": "ok"}


def test_the_servers_name_is_nobodys_business(service: Service) -> None:
    with HttpServer(service.app, ANYWHERE) as server:
        assert "Server" not in httpx.get(f"{server.url}/livez").headers


def test_answers_are_json_as_orjson_writes_it() -> None:
    app: FastAPI = health_app(Health(None, (), 60.0), Metrics.create("test"))
    with Client(app) as client:
        answer = client.get("/livez")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.content == orjson.dumps({"status": "ok"})


def test_no_request_waits_while_the_openapi_document_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = Metrics.create("test")
    app = new_app("test", Health(metrics, (), 60.0), metrics)
    begun, go_on = threading.Event(), threading.Event()
    real = FastAPI.openapi

    def slow(self: FastAPI) -> dict[str, Any]:
        begun.set()
        assert go_on.wait(300)
        return real(self)

    monkeypatch.setattr(FastAPI, "openapi", slow)

    async def both(client: Client) -> tuple[int, int]:
        document = asyncio.ensure_future(client.send("GET", "/openapi.json"))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        alive = await client.send("GET", "/livez")
        go_on.set()
        return alive.status_code, (await document).status_code

    with Client(app) as client:
        assert client.run(both(client)) == (200, 200)
        assert "/livez" in client.get("/openapi.json").json()["paths"]
