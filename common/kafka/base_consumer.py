"""The base of both consumers: polling, lag, closing; kafka-python's records as our messages."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import (
    AuthorizationError,
    FencedInstanceIdError,
    KafkaError,
    SaslAuthenticationFailedError,
)
from kafka.structs import OffsetAndMetadata

from common.kafka.client import MissingTopics, in_our_words, log, open_client
from common.messaging.transport import ReceivedMessage
from common.settings import KafkaSettings

_FETCH_WAIT_MS = 200
# Maximum bytes per broker that are fetched but not polled yet.
_FETCH_BYTES = 16 << 20
_CLOSE_SECONDS = 5.0
# Kafka's number for a time stamp set by the broker.
_LOG_APPEND_TIME = 1
_PAUSE_SECONDS = 0.2
# Retries do not help with these.
_FATAL = (AuthorizationError, SaslAuthenticationFailedError, FencedInstanceIdError)


def reader_settings(kafka: KafkaSettings, max_bytes: int) -> dict[str, Any]:
    """The settings of every consumer besides its connection. max_bytes: size of the largest message."""
    return {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": max_bytes,
        "fetch_max_bytes": max(_FETCH_BYTES, max_bytes),
        "fetch_max_wait_ms": min(_FETCH_WAIT_MS, round(kafka.request_timeout_seconds * 500)),
        "metrics_enabled": False,
    }


class KafkaReader:
    """The common part of both consumers: polling, lag, closing."""

    def __init__(self, kafka: KafkaSettings, max_bytes: int, **settings: Any) -> None:
        self._kafka = kafka
        self._consumer, self._client = open_client(
            kafka, KafkaConsumer, **reader_settings(kafka, max_bytes), **settings
        )
        self._missing = MissingTopics()
        self._topics: tuple[str, ...] = ()
        # End offsets when reading began, until the broker reports newer ones.
        self._ends: dict[TopicPartition, int] = {}

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        """The next messages; see common.messaging.transport.Consumer."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            remaining_seconds = max(0.0, deadline - time.monotonic())
            polled = self._poll(max_messages, remaining_seconds)
            if polled:
                return [received(record) for records in polled.values() for record in records]
            if time.monotonic() >= deadline:
                self._missing.look(self._client, self._topics)
                return []

    def lag(self) -> int:
        """Messages after the last one polled, as last reported; 0 for a partition without a report."""
        total = 0
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition)
            if end is None:
                end = self._ends.get(partition)
            if end is None:
                continue
            try:
                position = self._consumer.position(partition, timeout_ms=0)
            except KafkaError:
                continue
            if position is not None:
                total += max(0, end - position)
        return total

    def expired(self) -> int:
        """See common.messaging.transport.Consumer. Always 0: a compacted topic keeps the last
        messages."""
        return 0

    def close(self) -> None:
        """Leave the group. A static member stays in it until its session times out."""
        timeout = min(_CLOSE_SECONDS, self._kafka.request_timeout_seconds)
        try:
            self._consumer.close(autocommit=False, timeout_ms=round(timeout * 1000))
        except KafkaError as error:
            log.info("a consumer could not leave its group: %s", error)
        finally:
            # After an error the consumer's connections and thread would stay.
            self._client.close()

    def _poll(self, max_messages: int, timeout_seconds: float) -> dict[TopicPartition, list[Any]]:
        try:
            polled: dict[TopicPartition, list[Any]] = self._consumer.poll(
                timeout_ms=timeout_seconds * 1000, max_records=max_messages
            )
        except _FATAL as error:
            raise in_our_words(error, self._kafka) from None
        except KafkaError as error:
            log.debug("a poll failed and is retried: %s", error)
            time.sleep(min(_PAUSE_SECONDS, timeout_seconds))
            return {}
        return polled


def received(record: Any) -> ReceivedMessage:
    """A record of kafka-python as our message; fields that other programs may omit are empty."""
    return ReceivedMessage(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key or b"",
        value=record.value,
        headers=tuple((name, value or b"") for name, value in record.headers),
        appended_ms=record.timestamp,
        by_log=record.timestamp_type == _LOG_APPEND_TIME,
    )


def next_offsets(messages: Iterable[ReceivedMessage]) -> dict[TopicPartition, OffsetAndMetadata]:
    """The offset after the last message of each partition."""
    last: dict[tuple[str, int], int] = {}
    for message in messages:
        partition = (message.topic, message.partition)
        last[partition] = max(last.get(partition, -1), message.offset)
    return {
        TopicPartition(*partition): OffsetAndMetadata(offset + 1, "", -1)
        for partition, offset in last.items()
    }
