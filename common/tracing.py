"""Spans of OpenTelemetry: what a request, a message and each step of them took, across services.

Until `start_tracing` is called with a collector, nothing of OpenTelemetry is imported and nothing is
recorded. The trace id of messages and logs is the trace id of their spans. A parent in another service is
named by the header `traceparent` (https://www.w3.org/TR/trace-context/).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from common.errors import StoryHashError, UsageError
from common.extras import install_command
from common.settings import ServiceSettings

if TYPE_CHECKING:
    from opentelemetry import trace as otel
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

_TRACER = "storyhash"
# Of a message and of an HTTP request.
TRACEPARENT_HEADER = "traceparent"
# Version, trace id, span id, flags.
_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")

Attributes: TypeAlias = Mapping[str, str | int | float]
Kind: TypeAlias = Literal["internal", "server", "producer", "consumer"]
Value = TypeVar("Value")

_NONE: Attributes = {}

_provider: TracerProvider | None = None
# The trace id that the next span without a parent gets; the SDK has no argument for it.
_wanted: ContextVar[str] = ContextVar("wanted_trace_id", default="")


@dataclass(slots=True)
class Span:
    """A span that lasts until `end`. trace_id: for messages and logs. traceparent: names it as the parent
    of others; empty if nothing is recorded."""

    trace_id: str = ""
    traceparent: str = ""
    _span: otel.Span | None = None

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""
        if self._span is not None:
            self._span.set_attributes(dict(attributes))

    def rename(self, name: str) -> None:
        """Give it another name."""
        if self._span is not None:
            self._span.update_name(name)

    def fail(self, reason: str | Exception) -> None:
        """Mark it as failed, with a reason or the code of an error. Its message may name a path, so it is
        left out."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            if isinstance(reason, StoryHashError):
                reason = reason.code
            elif isinstance(reason, Exception):
                reason = type(reason).__name__
            self._span.set_status(StatusCode.ERROR, reason)

    def end(self) -> None:
        """End it; a second time it does nothing."""
        if self._span is not None:
            self._span.end()
            self._span = None


def start_tracing(service: str, settings: ServiceSettings) -> None:
    """Send the spans of this process to the collector of the settings; without one nothing happens.

    The SDK reads its own variables besides, such as OTEL_TRACES_SAMPLER and OTEL_EXPORTER_OTLP_HEADERS.
    Raises UsageError if the extra `otel` is not installed.
    """
    if settings.otlp_endpoint is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise UsageError(
            "STORYHASH_SERVICE__OTLP_ENDPOINT needs OpenTelemetry, which is not installed: "
            f"{install_command('otel')}, or unset it"
        ) from None
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come last, so they win.
    named = Resource.create().merge(Resource({"service.name": f"storyhash-{service}"}))
    provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()))
    endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    use_provider(provider)


def use_provider(provider: TracerProvider | None) -> TracerProvider | None:
    """Record spans with this provider from now on; None ends it. Returns the one before. The provider of
    other libraries is not changed."""
    global _provider
    before = _provider
    if provider is not None:
        provider.id_generator = _id_generator()
    _provider = provider
    return before


def is_tracing() -> bool:
    """Whether spans are recorded."""
    return _provider is not None


def open_span(
    name: str,
    *,
    kind: Kind = "internal",
    parent: str = "",
    trace_id: str = "",
    attributes: Attributes = _NONE,
) -> Span:
    """Begin a span that is not the parent of what follows; the caller ends it.

    parent: a traceparent. Without one, the span has no parent, and its trace is `trace_id`, or a new one
    if this is no id of W3C.
    """
    if _provider is None:
        return Span(trace_id)
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    extract = TraceContextTextMapPropagator().extract
    token = _wanted.set(trace_id if _TRACE_ID.fullmatch(trace_id) else "")
    try:
        return _started(
            _provider.get_tracer(_TRACER).start_span(
                name,
                extract({TRACEPARENT_HEADER: parent}, Context()),
                SpanKind[kind.upper()],
                dict(attributes),
            )
        )
    finally:
        _wanted.reset(token)


@contextmanager
def spanned(span: Span) -> Iterator[Span]:
    """The block is what an open span is about: steps in it are its children, an error fails it, and it
    ends with the block."""
    if span._span is None:
        yield span
        return
    from opentelemetry.trace import use_span

    try:
        with use_span(span._span, record_exception=False, set_status_on_exception=False):
            yield span
    except Exception as error:
        span.fail(error)
        raise
    finally:
        span.end()


@contextmanager
def step(name: str, attributes: Attributes = _NONE) -> Iterator[None]:
    """The block is a step of the span around it; without one nothing is recorded."""
    if _provider is None or not traceparent():
        yield
        return
    span = _provider.get_tracer(_TRACER).start_span(name, attributes=dict(attributes))
    with spanned(_started(span)):
        yield


def steps(name: str, values: Iterable[Value]) -> Iterator[Value]:
    """Yield the values, with a step around the making of each."""
    waiting = iter(values)
    while True:
        # The span must not be around the caller's work.
        with step(name):
            try:
                value = next(waiting)
            except StopIteration:
                return
        yield value


def traceparent() -> str:
    """The span around this call, as a header; empty if there is none."""
    if _provider is None:
        return ""
    from opentelemetry.trace import get_current_span

    return _traceparent_of(get_current_span())


def checked_traceparent(header: str) -> str:
    """A header as it is, or nothing if it is none."""
    return header if _PARENT.fullmatch(header) else ""


def _started(span: otel.Span) -> Span:
    header = _traceparent_of(span)
    return Span(header.split("-")[1] if header else "", header, span)


def _traceparent_of(span: otel.Span) -> str:
    context = span.get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _id_generator() -> RandomIdGenerator:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class _WantedIds(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            wanted = _wanted.get()
            return int(wanted, 16) if wanted else super().generate_trace_id()

    return _WantedIds()
