"""Messages that retention deleted before a consumer group read them.

If the committed offset is no longer in the log, a consumer continues at the oldest message. Its lag is
then 0 and nothing looks wrong, but the messages between are lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from common.kafka.client import log


class Gaps:
    """Compares the expected next offset of each partition with the real one. For one thread, except
    `forget`."""

    def __init__(self, consumer: KafkaConsumer, group: str, *, new_group_is_loss: bool) -> None:
        """new_group_is_loss: whether messages that expired before the group's first commit count as
        lost."""
        self._consumer = consumer
        self._group = group
        self._new_group_is_loss = new_group_is_loss
        # The expected next offset, if known.
        self._next: dict[TopicPartition, int] = {}
        self._lost = 0

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These partitions were assigned or revoked: they continue at the committed offset."""
        for partition in partitions:
            self._next.pop(partition, None)

    def taken(self) -> int:
        """Number of messages lost since the last call."""
        count, self._lost = self._lost, 0
        return count

    def look(
        self, polled: Mapping[TopicPartition, Sequence[Any]], timeout_ms: int
    ) -> dict[TopicPartition, int]:
        """Check for gaps after a poll that returned `polled`. Returns, for each partition with a gap, the
        first offset with messages; the caller commits it, so that the gap is reported once."""
        passed = {}
        for partition in self._consumer.assignment():
            records = polled.get(partition)
            try:
                offset = (
                    records[0].offset
                    if records
                    else self._consumer.position(partition, timeout_ms=0)
                )
                if offset is None:
                    continue
                expected = self._next.get(partition)
                if expected is None:
                    expected = self._begin(partition, offset, timeout_ms)
            except KafkaError as error:
                log.debug("the check for expired messages failed and is retried: %s", error)
                continue
            if offset > expected:
                self._tell(partition, expected, offset)
                passed[partition] = offset
            self._next[partition] = records[-1].offset + 1 if records else offset
        return passed

    def _begin(self, partition: TopicPartition, offset: int, timeout_ms: int) -> int:
        """The expected first offset of a new partition."""
        committed = self._consumer.committed(partition, timeout_ms=timeout_ms)
        if committed is not None:
            return int(committed)
        if offset and not self._new_group_is_loss:
            log.warning(
                "topic %s partition %d: messages before offset %d expired before group %s "
                "existed; `storyhash ingest --backfill` sends what the index lacks",
                partition.topic,
                partition.partition,
                offset,
                self._group,
            )
            return offset
        return 0

    def _tell(self, partition: TopicPartition, expected: int, offset: int) -> None:
        self._lost += offset - expected
        log.error(
            "topic %s partition %d: %d messages (offsets %d to %d) expired before group "
            "%s read them; `storyhash ingest --reconcile` sends what the catalogue lacks",
            partition.topic,
            partition.partition,
            offset - expected,
            expected,
            offset - 1,
            self._group,
        )
