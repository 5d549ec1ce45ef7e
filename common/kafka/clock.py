"""The log's clock: increasing moments, independent of the callers' clocks.

A mark is written to a topic whose time stamps are set by the broker. The moment is this time stamp. If
the broker's clock went back, or a new leader's clock is behind, it is one millisecond after the newest
earlier mark.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from common.errors import TopicMissingError
from common.kafka.base_consumer import reader_settings
from common.kafka.client import in_our_words, open_client, partitions_of
from common.kafka.publisher import close_producer
from common.settings import KafkaSettings

# Marks that are read: more than are ever written at the same time.
_MARKS = 100
_POLL_MS = 200
_MARK_BYTES = 1 << 20
# A producer's time stamp, which the broker replaces by its own.
_NO_TIME_MS = 1


class KafkaClock:
    """One connection to write and one to read, opened at the first use and after an error.
    Thread-safe."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._lock = threading.Lock()
        self._producer: Any = None
        self._consumer: Any = None
        self._place: TopicPartition | None = None

    def moment(self, topic: str) -> int:
        """See common.messaging.transport.Transport."""
        with self._lock:
            try:
                return self._moment(topic)
            except KafkaError as error:
                self._drop()
                raise in_our_words(error, self._kafka) from None
            except BaseException:
                self._drop()
                raise

    def close(self) -> None:
        """Release the connections."""
        with self._lock:
            self._drop()

    def _moment(self, topic: str) -> int:
        partition = self._open(topic)
        least = self._newest(partition) + 1
        patience = self._kafka.request_timeout_seconds
        future = self._producer.send(
            topic,
            str(least).encode(),
            b"mark",
            partition=partition.partition,
            timestamp_ms=_NO_TIME_MS,
        )
        self._producer.flush(patience)
        record = future.get(patience)
        if record.timestamp == _NO_TIME_MS:
            raise TopicMissingError(
                f"topic {topic} does not use the broker's clock (message.timestamp.type is "
                "not LogAppendTime); `storyhash topics create` corrects it"
            )
        return max(int(record.timestamp), least)

    def _newest(self, partition: TopicPartition) -> int:
        """The newest moment of all marks, or 0."""
        consumer = self._consumer
        timeout = round(self._kafka.request_timeout_seconds * 1000)
        begin = consumer.beginning_offsets([partition], timeout_ms=timeout)[partition]
        end = consumer.end_offsets([partition], timeout_ms=timeout)[partition]
        if end <= begin:
            return 0
        consumer.seek(partition, max(begin, end - _MARKS))
        newest, deadline = 0, time.monotonic() + self._kafka.request_timeout_seconds
        while True:
            for record in consumer.poll(timeout_ms=_POLL_MS).get(partition, ()):
                newest = max(newest, record.timestamp, _promised_ms(record.value))
            position = consumer.position(partition, timeout_ms=0)
            if position is not None and position >= end:
                return newest
            if time.monotonic() > deadline:
                raise KafkaTimeoutError("reading the broker's clock timed out")

    def _open(self, topic: str) -> TopicPartition:
        if self._place is not None and self._place.topic == topic:
            return self._place
        self._drop()
        self._consumer, client = open_client(
            self._kafka, KafkaConsumer, **reader_settings(self._kafka, _MARK_BYTES)
        )
        partition = TopicPartition(topic, partitions_of(client, self._kafka, topic)[0])
        self._consumer.assign([partition])
        self._producer, _ = open_client(
            self._kafka,
            KafkaProducer,
            acks="all",
            enable_idempotence=True,
            metrics_enabled=False,
            delivery_timeout_ms=round(self._kafka.delivery_timeout_seconds * 1000),
        )
        self._place = partition
        return partition

    def _drop(self) -> None:
        producer, consumer = self._producer, self._consumer
        self._producer = self._consumer = self._place = None
        if producer is not None:
            close_producer(producer)
        with contextlib.suppress(KafkaError):
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=1000)


def _promised_ms(value: bytes | None) -> int:
    """The moment in a mark; 0 if it is none."""
    return int(value) if value is not None and value.isdigit() and len(value) <= 18 else 0
