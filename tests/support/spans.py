"""Spans kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common.tracing import use_provider


class Spans:
    """What was recorded."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def finished(self) -> tuple[ReadableSpan, ...]:
        """The spans that ended, in the order of their ends."""
        return self._exporter.get_finished_spans()


@contextmanager
def recorded_spans() -> Iterator[Spans]:
    """Record the spans of this process in memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    use_provider(provider)
    try:
        yield Spans(exporter)
    finally:
        use_provider(None)
        provider.shutdown()


def trace_of(span: ReadableSpan) -> str:
    """Its trace id, 32 hexadecimal digits."""
    context = span.get_span_context()
    return "" if context is None else f"{context.trace_id:032x}"


def id_of(span: ReadableSpan) -> int:
    """Its own id."""
    context = span.get_span_context()
    return 0 if context is None else context.span_id
