"""The spans of messages: one when it is sent, and one in each service that processes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from common.messaging.events import Event
from common.messaging.handler import Item
from common.messaging.transport import Publisher
from common.messaging.wire import Envelope, to_message, video_of
from common.tracing import Span, is_tracing, open_span, spanned


def publish_traced(publisher: Publisher, topic: str, event: Event, parent: Span) -> None:
    """Publish an event in a span that is the parent of what comes of it. Raises what `publish` raises."""
    span = open_span(
        f"send {topic}",
        kind="producer",
        parent=parent.traceparent,
        attributes=_attributes("send", topic, event),
    )
    with spanned(span):
        envelope = Envelope(event, trace_id=parent.trace_id, traceparent=span.traceparent)
        publisher.publish(to_message(topic, envelope))


@contextmanager
def spans_of(stage: str, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Start a span per message. Yields the messages, whose results become children of these spans.

    All spans last as long as the block, and an error fails them. Steps of the block belong to the span of
    the first message.
    """
    if not is_tracing():
        yield items
        return
    spans = [_process_span(stage, item, len(items)) for item in items]
    try:
        with spanned(spans[0]):
            yield [
                replace(item, envelope=replace(item.envelope, traceparent=span.traceparent))
                for item, span in zip(items, spans, strict=True)
            ]
    except Exception as error:
        for span in spans[1:]:
            span.fail(error)
        raise
    finally:
        for span in spans:
            span.end()


def _process_span(stage: str, item: Item, batch: int) -> Span:
    envelope, received = item.envelope, item.received
    return open_span(
        f"{stage} {received.topic}",
        kind="consumer",
        parent=envelope.traceparent,
        trace_id=envelope.trace_id,
        attributes={
            **_attributes("process", received.topic, envelope.event),
            "messaging.destination.partition.id": str(received.partition),
            "messaging.kafka.offset": received.offset,
            "messaging.batch.message_count": batch,
        },
    )


def _attributes(operation: str, topic: str, event: Event) -> dict[str, str | int | float]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
        "storyhash.event": type(event).__name__,
        "storyhash.video_id": video_of(event),
    }
