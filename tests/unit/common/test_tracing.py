"""Spans: nothing without a collector, and one trace over two services with one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from pydantic import ValidationError

from common import tracing
from common.errors import UsageError
from common.http.health import Health
from common.http.server import HttpServer, new_app
from common.metrics import Metrics
from common.settings import HttpSettings, ServiceSettings
from common.tracing import open_span, spanned, start_tracing, step, steps, traceparent
from storyhash.client.call import Call, as_nothing
from storyhash.client.transport import SyncTransport
from tests.support.http_server import running
from tests.support.spans import Spans, id_of, recorded_spans, trace_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[Spans]:
    with recorded_spans() as spans:
        yield spans


def test_without_a_collector_nothing_is_imported_and_nothing_is_recorded() -> None:
    program = (
        "import sys; from common.settings import ServiceSettings; from common.tracing import *;"
        "start_tracing('embed', ServiceSettings());"
        "span = open_span('a', trace_id='t'); assert (span.trace_id, span.traceparent) == ('t', '');"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=600)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"not installed: pip install -e '\.\[otel\]'"):
        start_tracing("embed", ServiceSettings(otlp_endpoint="http://127.0.0.1:4318"))
    with pytest.raises(ValidationError):
        ServiceSettings(otlp_endpoint="127.0.0.1:4318")


def test_a_collector_gets_the_spans_and_the_name_of_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    with running(Collector) as endpoint:
        try:
            start_tracing("embed", ServiceSettings(otlp_endpoint=f"{endpoint}/"))
            with spanned(open_span("outer", trace_id=TRACE)), step("inner"):
                pass
            provider = tracing.use_provider(None)
            assert isinstance(provider, TracerProvider)
            provider.shutdown()
        finally:
            tracing.use_provider(None)
    ((path, body),) = received
    assert path == "/v1/traces"
    (sent,) = ExportTraceServiceRequest.FromString(body).resource_spans
    named = {one.key: one.value.string_value for one in sent.resource.attributes}
    assert named["service.name"] == "storyhash-embed"
    assert named["deployment.environment"] == "test"
    spans = sent.scope_spans[0].spans
    assert [(one.name, one.trace_id.hex()) for one in spans] == [("inner", TRACE), ("outer", TRACE)]


def test_a_span_joins_the_trace_of_its_parent_or_the_one_it_is_told(spans: Spans) -> None:
    for parent, trace_id in ((PARENT, "f" * 32), ("", TRACE), ("rubbish", "no id of W3C")):
        with spanned(open_span("a", parent=parent, trace_id=trace_id)) as span:
            assert traceparent() == span.traceparent
    first, second, third = spans.finished()
    assert first.parent is not None
    assert (trace_of(first), f"{first.parent.span_id:016x}") == (TRACE, "b7ad6b7169203331")
    assert (trace_of(second), second.parent) == (TRACE, None)
    assert third.parent is None
    assert trace_of(third) not in (TRACE, "f" * 32)


def test_a_step_needs_a_span_around_it_and_an_error_fails_both(spans: Spans) -> None:
    with step("alone"):
        assert traceparent() == ""
    with pytest.raises(ValueError, match="no"), spanned(open_span("a")), step("b"):
        raise ValueError("no")
    inner, outer = spans.finished()
    assert [inner.name, outer.name] == ["b", "a"]
    assert inner.parent is not None
    assert inner.parent.span_id == id_of(outer)
    assert not inner.status.is_ok
    assert not outer.status.is_ok


def test_making_a_value_is_a_step_and_using_it_is_none(spans: Spans) -> None:
    with spanned(open_span("a")) as span:
        for _ in steps("make", iter("xy")):
            assert traceparent() == span.traceparent
    assert [one.name for one in spans.finished()] == ["make", "make", "make", "a"]


def app(name: str) -> FastAPI:
    metrics = Metrics.create(name)
    return new_app(name, Health(metrics, (), 600), metrics)


def test_requests_of_two_services_are_one_trace(spans: Spans) -> None:
    embedder, searcher = app("embed"), app("search")

    @embedder.get("/v1/inner/{name}")
    def inner(name: str) -> None:
        raise UsageError("no such name")

    @searcher.get("/v1/outer")
    def outer() -> None:
        with SyncTransport(embedding.url) as client:
            client.send(Call(as_nothing, method="GET", template="/v1/inner/secret"))

    with (
        HttpServer(embedder, HttpSettings(port=0)) as embedding,
        HttpServer(searcher, HttpSettings(port=0)) as searching,
    ):
        answer = httpx.get(f"{searching.url}/v1/outer", headers={"traceparent": PARENT})
        httpx.get(f"{searching.url}/livez", headers={"traceparent": PARENT})
    assert answer.status_code == 400
    called, caller = spans.finished()
    assert (called.name, caller.name) == ("GET /v1/inner/{name}", "GET /v1/outer")
    assert trace_of(called) == trace_of(caller) == TRACE
    assert called.parent is not None
    assert called.parent.span_id == id_of(caller)
    assert dict(caller.attributes or {})["http.response.status_code"] == 400
    # A request id goes the same way, so logs and traces can be joined.
    ids = {dict(one.attributes or {})["storyhash.request_id"] for one in (called, caller)}
    assert ids == {answer.headers["X-Request-ID"]}
