"""A publisher to Kafka: idempotent, acknowledged by all in-sync replicas, with bounded bytes in
flight."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from functools import lru_cache
from typing import Any, NoReturn

from kafka import KafkaProducer
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)
from kafka.partitioner.default import murmur2

from common.errors import BrokerError, MessageTooLargeError
from common.kafka.client import in_our_words, open_client, refreshed, topic_missing
from common.messaging.transport import Message
from common.settings import KafkaSettings

LINGER_MS = 5
# Only one batch per partition is in flight, so batches should be large: with 2 kB messages, 256 KiB sends
# twice as many messages per second as the default of 16 KiB; larger batches gain little.
BATCH_BYTES = 256 * 1024
# Framing of one record in its own batch, rounded up, without headers.
_RECORD_OVERHEAD_BYTES = 128
# How long a topic may be unknown to the producer before the broker is asked.
_METADATA_SECONDS = 2.0
_PARTITIONS_AGE_SECONDS = 30.0
_CLOSE_SECONDS = 5.0


class KafkaPublisher:
    """Publishes to any topic. One thread at a time.

    It can be used after a BrokerError. It then forgets the messages in flight; some of them may have
    arrived, and the caller publishes everything again that was not flushed.

    max_bytes: size of the largest message.
    """

    def __init__(self, kafka: KafkaSettings, max_bytes: int) -> None:
        self._kafka = kafka
        self._max_bytes = max_bytes
        self._max_waiting = kafka.max_inflight_mib << 20
        self._producer: KafkaProducer | None = None
        # Messages in flight: the future answer and the size in bytes, oldest first.
        self._waiting: deque[tuple[Any, int]] = deque()
        self._waiting_bytes = 0
        self._partitions: dict[str, tuple[int, float]] = {}
        self._open()

    def publish(self, message: Message) -> None:
        """Queue a message. See common.messaging.transport.Publisher."""
        size = self._checked_size(message)
        self._settle()
        while self._waiting and self._waiting_bytes + size > self._max_waiting:
            self._await_oldest()
        producer = self._producer or self._open()
        count = self._count(producer, message.topic)
        partition = message.partition
        if partition is None:
            key = message.key if message.partition_key is None else message.partition_key
            partition = _hash(key) % count
        elif not 0 <= partition < count:
            raise BrokerError(
                f"topic {message.topic} has {count} partitions, so partition {partition} "
                "does not exist; `storyhash topics create` adds partitions to an empty "
                "topic"
            )
        try:
            answer = producer.send(
                message.topic, message.value, message.key, list(message.headers), partition
            )
        except KafkaError as error:
            self._fail(error)
        self._waiting.append((answer, size))
        self._waiting_bytes += size

    def check(self, message: Message) -> None:
        """Raises MessageTooLargeError."""
        self._checked_size(message)

    def flush(self) -> None:
        """Return when all published messages are acknowledged. Raises BrokerError."""
        producer = self._producer
        if self._waiting and producer is not None:
            # This sends lingering batches at once, and waits for batches, not for each message.
            with contextlib.suppress(KafkaError):
                producer.flush(self._patience_seconds)
        while self._waiting:
            self._await_oldest()

    def close(self) -> None:
        """Release connections; messages that are not flushed may be lost."""
        self._waiting.clear()
        self._waiting_bytes = 0
        producer, self._producer = self._producer, None
        if producer is None:
            return
        close_producer(producer)

    def _checked_size(self, message: Message) -> int:
        size = _size(message)
        if size > self._max_bytes:
            raise MessageTooLargeError(
                f"a message for {message.topic} has {size} bytes; the limit is {self._max_bytes}"
            )
        return size

    def _open(self) -> KafkaProducer:
        self._producer, self._client = open_client(
            self._kafka,
            KafkaProducer,
            acks="all",
            enable_idempotence=True,
            linger_ms=LINGER_MS,
            batch_size=BATCH_BYTES,
            max_request_size=self._max_bytes,
            max_block_ms=round(_METADATA_SECONDS * 1000),
            delivery_timeout_ms=round(self._kafka.delivery_timeout_seconds * 1000),
            metrics_enabled=False,
        )
        return self._producer

    def _settle(self) -> None:
        """Remove acknowledged messages; raises BrokerError for a failed one."""
        waiting = self._waiting
        while waiting and waiting[0][0].is_done:
            answer, size = waiting.popleft()
            self._waiting_bytes -= size
            if answer.exception is not None:
                self._fail(answer.exception)

    @property
    def _patience_seconds(self) -> float:
        """Longest wait for an answer. The producer itself gives up after the delivery time-out, but not
        before it has its producer id."""
        return self._kafka.delivery_timeout_seconds + self._kafka.request_timeout_seconds

    def _await_oldest(self) -> None:
        """Wait for the oldest answer."""
        answer = self._waiting[0][0]
        with contextlib.suppress(KafkaError):
            answer.get(self._patience_seconds)
        if not answer.is_done:
            self._fail(KafkaTimeoutError())
        self._settle()

    def _count(self, producer: KafkaProducer, topic: str) -> int:
        """Number of partitions of a topic. Raises TopicMissingError, BrokerError."""
        count, until = self._partitions.get(topic, (0, 0.0))
        now = time.monotonic()
        if now < until:
            return count
        deadline = now + self._kafka.delivery_timeout_seconds
        while True:
            try:
                count = len(producer.partitions_for(topic))
                break
            except KafkaTimeoutError as error:
                if refreshed(self._client, 1.0):
                    raise topic_missing(topic) from None
                if time.monotonic() > deadline:
                    self._fail(error)
            except KafkaError as error:
                self._fail(error)
        self._partitions[topic] = (count, now + _PARTITIONS_AGE_SECONDS)
        return count

    def _fail(self, error: Exception) -> NoReturn:
        """Close the producer, so that the next message opens a new one, and raise our error."""
        self.close()
        self._partitions.clear()
        if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
            raise BrokerError(
                "a topic accepts only smaller messages than "
                "STORYHASH_VIDEO__MAX_CLIP_BYTES requires; `storyhash topics create` "
                "corrects its max.message.bytes"
            )
        if isinstance(error, UnknownTopicOrPartitionError):
            raise BrokerError("a topic was deleted; `storyhash topics create` creates it again")
        raise in_our_words(error, self._kafka)


def close_producer(producer: KafkaProducer) -> None:
    """Release its connections; unsent messages are lost."""
    # close() alone waits for unsent messages, and after a time-out leaves its thread running.
    producer._sender.force_close()
    producer._sender.join(_CLOSE_SECONDS)
    with contextlib.suppress(KafkaError):
        producer.close(timeout=0)


def _size(message: Message) -> int:
    """Size of a message in its own batch, in bytes, rounded up."""
    size = _RECORD_OVERHEAD_BYTES + len(message.key) + len(message.value or b"")
    for name, value in message.headers:
        size += len(name.encode()) + len(value) + 10
    return size


@lru_cache(maxsize=1024)
def _hash(key: bytes) -> int:
    """Kafka's own hash of a key, so that a Java client finds the same partition. Cached, because in
    Python it takes longer than sending, and all messages of a video have one partition key."""
    return int(murmur2(key)) & 0x7FFFFFFF
