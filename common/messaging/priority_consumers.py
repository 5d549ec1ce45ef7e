"""Takes the next batch from the consumer with the highest priority that has messages."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from common.errors import DependencyError, WireError
from common.http.health import Health
from common.messaging.handler import Handler, Item
from common.messaging.lag_clock import LagClock
from common.messaging.transport import Consumer, ReceivedMessage
from common.messaging.wire import from_message
from common.metrics import Metrics

_IDLE_SECONDS = 0.2
_SHORT_WAIT_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class PriorityConsumer:
    """A consumer, and the topic that its lag is reported for. Consumers are listed by priority.

    ahead: a batch may be taken before the previous one is committed, because no other member can get the
    partitions meanwhile.
    """

    topic: str
    consumer: Consumer
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one consumer: `items`, and those that cannot be read, each with its error."""

    source: PriorityConsumer
    received: list[ReceivedMessage]
    items: list[Item]
    unreadable: list[tuple[ReceivedMessage, WireError]]


class PriorityConsumers:
    """Takes batches by priority. Use from one thread."""

    def __init__(
        self,
        sources: Sequence[PriorityConsumer],
        handler: Handler,
        health: Health,
        metrics: Metrics,
        stopping: threading.Event,
    ) -> None:
        self._sources = sources
        self._handler = handler
        self._health = health
        self._metrics = metrics
        self._stopping = stopping
        self._last_has_work = False
        self._ahead: Batch | None = None
        self._clocks = {source.topic: LagClock() for source in sources}
        for topic, clock in self._clocks.items():
            metrics.consumer_lag_seconds.labels(handler.stage, topic).set_function(clock.seconds)

    def ahead(self) -> Batch | None:
        """The batch that was taken while another one was processed, if there is one."""
        batch, self._ahead = self._ahead, None
        return batch

    def next(self) -> Batch:
        """The next batch; an empty one after a short wait."""
        *urgent, last = self._sources
        # Wait for an urgent topic only while the last one has no work.
        wait = _SHORT_WAIT_SECONDS if self._last_has_work else _IDLE_SECONDS
        for source in urgent:
            batch = source.consumer.poll(self._handler.batch_messages, wait)
            if batch:
                self.stay(but=source)
                return self._taken(source, batch)
        wait = _SHORT_WAIT_SECONDS if urgent else _IDLE_SECONDS
        batch = last.consumer.poll(self._handler.batch_messages, wait)
        self._last_has_work = bool(batch)
        return self._taken(last, batch)

    def take_ahead(self, source: PriorityConsumer) -> None:
        """Take the next batch while one of `source` is processed: from a topic with a higher priority
        (between two batches there may be no time to read a distant broker), else a full batch of a topic
        that may be read ahead."""
        size = self._handler.batch_messages
        before = self._sources[: self._sources.index(source)]
        full = [source] if source.ahead and source.consumer.lag() >= size else []
        for other in (*before, *full):
            if self._ahead is not None or self._stopping.is_set():
                return
            # The next regular poll reports the error.
            with suppress(DependencyError):
                received = other.consumer.poll(size, _SHORT_WAIT_SECONDS)
                self._ahead = self._taken(other, received) if received else None

    def stay(self, *, but: PriorityConsumer | None = None) -> None:
        """Stay in the consumer groups. Raises nothing: the current batch would be lost."""
        for source in self._sources:
            if source is but:
                continue
            try:
                source.consumer.keep_alive()
            except DependencyError as error:
                self._health.unmet("broker", str(error))

    def observe(self) -> None:
        """Report the lag, and the messages that expired unread."""
        for source in self._sources:
            lag = self._metrics.consumer_lag_messages.labels(self._handler.stage, source.topic)
            messages = source.consumer.lag()
            lag.set(messages)
            self._clocks[source.topic].lag(messages)
            # 0 as well, so that an alert sees it grow.
            expired = self._metrics.expired_messages_total.labels(source.topic)
            expired.inc(source.consumer.expired())
        self._health.met("broker")

    def close(self) -> None:
        """Leave every group, so that others take over."""
        for source in self._sources:
            source.consumer.close()

    def _taken(self, source: PriorityConsumer, received: list[ReceivedMessage]) -> Batch:
        self._clocks[source.topic].took(received)
        return _made_out(source, received)


def _made_out(source: PriorityConsumer, received: list[ReceivedMessage]) -> Batch:
    batch = Batch(source, received, [], [])
    for message in received:
        if message.value is None:
            continue
        try:
            batch.items.append(Item(from_message(message), message))
        except WireError as error:
            batch.unreadable.append((message, error))
    return batch
