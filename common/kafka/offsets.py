"""First, last and committed offsets, without reading messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError

from common.kafka.client import in_our_words, open_client, topic_missing
from common.settings import KafkaSettings

# Kafka's numbers for the first and the next offset of a partition.
_EARLIEST, _LATEST = -2, -1


class KafkaOffsets:
    """One connection, opened at the first use and after an error. Thread-safe."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._lock = threading.Lock()
        self._admin: Any = None

    def ends(self, topic: str) -> dict[int, int]:
        """See common.messaging.transport.Transport."""
        with self._asking() as admin:
            return self._at(admin, self._partitions(admin, topic), _LATEST)

    def committed(self, topic: str, group: str) -> dict[int, int]:
        """See common.messaging.transport.Transport."""
        with self._asking() as admin:
            return self._committed(admin, self._partitions(admin, topic), group)

    def overdue(self, topic: str, group: str, before_ms: int) -> int:
        """See common.messaging.transport.Transport."""
        with self._asking() as admin:
            partitions = self._partitions(admin, topic)
            begins = self._at(admin, partitions, _EARLIEST)
            ends = self._at(admin, partitions, _LATEST)
            # The first offset that is not older than the moment; -1 if all are older.
            since = self._at(admin, partitions, max(0, before_ms))
            committed = self._committed(admin, partitions, group)
        overdue = 0
        for number, end in ends.items():
            first = since[number] if since[number] >= 0 else end
            overdue += max(0, first - max(committed.get(number, 0), begins[number]))
        return overdue

    def close(self) -> None:
        """Release the connection."""
        with self._lock:
            self._drop()

    def _partitions(self, admin: Any, topic: str) -> list[TopicPartition]:
        # A request for all topics: a request by name may create a missing topic.
        for description in admin.describe_topics():
            if description["name"] == topic:
                numbers = sorted(
                    partition["partition_index"] for partition in description["partitions"]
                )
                return [TopicPartition(topic, number) for number in numbers]
        raise topic_missing(topic)

    def _at(self, admin: Any, partitions: list[TopicPartition], when: int) -> dict[int, int]:
        """The offset of each partition at a moment (Unix milliseconds), -1 if there is none."""
        offsets = admin.list_partition_offsets(dict.fromkeys(partitions, when))
        return {partition.partition: int(offset.offset) for partition, offset in offsets.items()}

    def _committed(
        self, admin: Any, partitions: list[TopicPartition], group: str
    ) -> dict[int, int]:
        offsets = admin.list_group_offsets({group: partitions})[group]
        return {
            partition.partition: int(offset.offset)
            for partition, offset in offsets.items()
            if offset.offset >= 0
        }

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        with self._lock:
            try:
                if self._admin is None:
                    self._admin, _ = open_client(self._kafka, KafkaAdminClient)
                yield self._admin
            except KafkaError as error:
                self._drop()
                raise in_our_words(error, self._kafka) from None

    def _drop(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()
