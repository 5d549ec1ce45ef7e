"""The interface of common/messaging/transport.py over Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from common.errors import SettingsError
from common.kafka.base_consumer import reader_settings, received
from common.kafka.client import in_our_words, open_client, partitions_of
from common.kafka.clock import KafkaClock
from common.kafka.group_consumer import KafkaGroupConsumer
from common.kafka.log_consumer import KafkaLogConsumer
from common.kafka.offsets import KafkaOffsets
from common.kafka.publisher import KafkaPublisher
from common.messaging.topics import max_message_bytes
from common.messaging.transport import ReceivedMessage
from common.settings import KafkaSettings, VideoSettings

_SCAN_MESSAGES = 1000
_SCAN_POLL_MS = 200


class KafkaTransport:
    """Makes publishers and consumers. Each has its own connections, and the caller closes it.

    Making one raises BrokerError if no broker answers within about eight seconds.
    """

    def __init__(self, kafka: KafkaSettings, video: VideoSettings) -> None:
        if kafka.delivery_timeout_seconds < kafka.request_timeout_seconds + 1:
            raise SettingsError(
                "STORYHASH_KAFKA__DELIVERY_TIMEOUT_SECONDS: must be at least one second longer than "
                "STORYHASH_KAFKA__REQUEST_TIMEOUT_SECONDS"
            )
        self._kafka = kafka
        self._max_bytes = max_message_bytes(video)
        self._clock = KafkaClock(kafka)
        self._offsets = KafkaOffsets(kafka)

    def publisher(self) -> KafkaPublisher:
        return KafkaPublisher(self._kafka, self._max_bytes)

    def group_consumer(self, topics: Sequence[str], group: str) -> KafkaGroupConsumer:
        return KafkaGroupConsumer(self._kafka, self._max_bytes, topics, group)

    def log_consumer(
        self, topic: str, offsets: Mapping[int, int], group: str, log_id: str = ""
    ) -> KafkaLogConsumer:
        return KafkaLogConsumer(self._kafka, self._max_bytes, topic, offsets, group, log_id)

    def scan(self, topic: str) -> Iterator[ReceivedMessage]:
        """Every message that is in a topic now, partition by partition.

        Raises TopicMissingError; BrokerError if the broker does not answer within the request time-out.
        """
        consumer, client = open_client(
            self._kafka, KafkaConsumer, **reader_settings(self._kafka, self._max_bytes)
        )
        timeout = round(self._kafka.request_timeout_seconds * 1000)
        try:
            partitions = [
                TopicPartition(topic, number)
                for number in partitions_of(client, self._kafka, topic)
            ]
            ends = consumer.end_offsets(partitions, timeout_ms=timeout)
            for partition in partitions:
                yield from self._scan_partition(consumer, partition, ends[partition])
        except KafkaError as error:
            raise in_our_words(error, self._kafka) from None
        finally:
            consumer.close()

    def _scan_partition(
        self, consumer: KafkaConsumer, partition: TopicPartition, end: int
    ) -> Iterator[ReceivedMessage]:
        """The messages before `end`. The position shows when it is reached, because the last messages may
        be compacted away."""
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        patience = self._kafka.request_timeout_seconds
        reached, since = -1, time.monotonic()
        while True:
            polled = consumer.poll(timeout_ms=_SCAN_POLL_MS, max_records=_SCAN_MESSAGES)
            for record in polled.get(partition, ()):
                if record.offset >= end:
                    return
                yield received(record)
            position = consumer.position(partition, timeout_ms=0)
            if position is not None and position >= end:
                return
            if position is not None and position > reached:
                reached, since = position, time.monotonic()
            elif time.monotonic() - since > patience:
                raise in_our_words(KafkaTimeoutError(), self._kafka)

    def moment(self, topic: str) -> int:
        """See common.messaging.transport.Transport."""
        return self._clock.moment(topic)

    def committed(self, topic: str, group: str) -> dict[int, int]:
        """See common.messaging.transport.Transport."""
        return self._offsets.committed(topic, group)

    def ends(self, topic: str) -> dict[int, int]:
        """See common.messaging.transport.Transport."""
        return self._offsets.ends(topic)

    def overdue(self, topic: str, group: str, before_ms: int) -> int:
        """See common.messaging.transport.Transport."""
        return self._offsets.overdue(topic, group, before_ms)

    def close(self) -> None:
        """Release its own connections, not those of its publishers and consumers."""
        self._clock.close()
        self._offsets.close()
