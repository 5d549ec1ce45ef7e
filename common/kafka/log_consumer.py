"""A consumer of a whole topic from given offsets, without a group."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence

from kafka import TopicPartition
from kafka.errors import KafkaError

from common.kafka.base_consumer import KafkaReader, next_offsets
from common.kafka.client import in_our_words, log, partitions_of
from common.messaging.transport import ReceivedMessage
from common.settings import KafkaSettings

_NEW_PARTITIONS_SECONDS = 30.0


class KafkaLogConsumer(KafkaReader):
    """Reads every partition of a topic, independent of other consumers."""

    def __init__(
        self,
        kafka: KafkaSettings,
        max_bytes: int,
        topic: str,
        offsets: Mapping[int, int],
        group: str,
        log_id: str = "",
    ) -> None:
        super().__init__(kafka, max_bytes, group_id=group)
        self._topics = (topic,)
        self._log_id = log_id
        self._looked = time.monotonic()
        # End offsets at the start of the partitions that are not read to there yet.
        self._behind: dict[TopicPartition, int] = {}
        try:
            partitions = self._partitions()
            self._consumer.assign(partitions)
            self._seek(partitions, {} if self._was_recreated() else offsets)
        except BaseException:
            super().close()
            raise

    @property
    def log_id(self) -> str:
        """See common.messaging.transport.LogConsumer."""
        return self._log_id

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        """The next messages; see common.messaging.transport.Consumer."""
        before = self._log_id
        if self._was_recreated():
            try:
                partitions = self._partitions()
                self._consumer.assign(partitions)
                self._seek(partitions, {})
            except BaseException:
                # So that the next poll detects it again.
                self._log_id = before
                raise
        if time.monotonic() - self._looked > _NEW_PARTITIONS_SECONDS:
            self._looked = time.monotonic()
            self._add_new_partitions()
        return super().poll(max_messages, timeout_seconds)

    def caught_up(self) -> bool:
        """See common.messaging.transport.LogConsumer."""
        if not self._behind:
            return True
        for partition, end in list(self._behind.items()):
            with contextlib.suppress(KafkaError):
                position = self._consumer.position(partition, timeout_ms=0)
                # The last message may be compacted away; the position still passes it.
                if position is not None and position >= end:
                    del self._behind[partition]
        return not self._behind

    def keep_alive(self) -> None:
        """Nothing to do: there is no group."""

    def commit(self, messages: Iterable[ReceivedMessage]) -> None:
        """Commit offsets for monitoring; a failed commit is not retried."""
        offsets = next_offsets(messages)
        if not offsets:
            return
        try:
            self._consumer.commit_async(offsets)
        except KafkaError as error:
            log.debug("offsets were not committed: %s", error)

    def _partitions(self) -> list[TopicPartition]:
        topic = self._topics[0]
        numbers = partitions_of(self._client, self._kafka, topic)
        return [TopicPartition(topic, partition) for partition in numbers]

    def _was_recreated(self) -> bool:
        """Whether the topic was deleted and created again since the last call; stores its id."""
        topic = self._topics[0]
        topic_id = self._client.cluster.topic_id(topic)
        log_id = "" if topic_id is None else topic_id.hex
        before = self._log_id
        # While the topic does not exist, it has no id.
        if not log_id or log_id == before:
            return False
        self._log_id = log_id
        if not before:
            return False
        log.warning(
            "topic %s was deleted and created again (id %s, before %s): reading it from the start",
            topic,
            log_id,
            before,
        )
        return True

    def _seek(self, partitions: Sequence[TopicPartition], offsets: Mapping[int, int]) -> None:
        """Seek to the given offsets. Offsets beyond the end belong to a deleted log."""
        timeout = round(self._kafka.request_timeout_seconds * 1000)
        try:
            first = self._consumer.beginning_offsets(partitions, timeout_ms=timeout)
            end = self._consumer.end_offsets(partitions, timeout_ms=timeout)
        except KafkaError as error:
            raise in_our_words(error, self._kafka) from None
        self._ends = end
        for partition in partitions:
            offset = offsets.get(partition.partition, first[partition])
            if offset > end[partition]:
                log.warning(
                    "%s partition %d ends at %d, before %d: it was created again; reading "
                    "it from the start",
                    partition.topic,
                    partition.partition,
                    end[partition],
                    offset,
                )
                offset = first[partition]
            self._consumer.seek(partition, max(offset, first[partition]))
        self._behind = dict(end)

    def _add_new_partitions(self) -> None:
        topic = self._topics[0]
        assigned = self._consumer.assignment()
        now = {
            TopicPartition(topic, n) for n in self._client.cluster.partitions_for_topic(topic) or ()
        }
        new = sorted(now - assigned)
        if new:
            log.info("%s has %d new partitions", topic, len(new))
            # New partitions are read from the oldest message.
            self._consumer.assign(sorted(assigned | now))
            self._consumer.seek_to_beginning(*new)
