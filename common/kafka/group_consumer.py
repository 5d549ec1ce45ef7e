"""A member of a consumer group, with rebalances and commits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import MemberState, OffsetAndMetadata

from common.kafka.base_consumer import KafkaReader, next_offsets
from common.kafka.client import in_our_words, log, refreshed
from common.kafka.gaps import Gaps
from common.kafka.kafka_python_patch import keep_ended_joins
from common.messaging.transport import ReceivedMessage
from common.settings import KafkaSettings

# Interval of the round trips that keep the membership.
_KEEP_ALIVE_SECONDS = 0.2


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Handles assigned and revoked partitions, in the connection's thread."""

    def __init__(
        self, consumer: KafkaConsumer, assignor: CooperativeStickyAssignor, gaps: Gaps
    ) -> None:
        self._consumer = consumer
        self._assignor = assignor
        self._gaps = gaps
        self.holding = False
        # Commits of present partitions that a rebalance delayed.
        self.owed: dict[TopicPartition, OffsetAndMetadata] = {}

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._forget(assigned)
        if self.holding:
            self._consumer.pause(*assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._forget(revoked)

    def on_partitions_lost(self, partitions: Iterable[TopicPartition]) -> None:
        self._forget(partitions)
        # Otherwise it would claim partitions that others own now when it joins again.
        self._assignor.member_assignment = None

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        partitions = list(partitions)
        self._gaps.forget(partitions)
        for partition in partitions:
            self.owed.pop(partition, None)


class KafkaGroupConsumer(KafkaReader):
    """A member of a consumer group."""

    def __init__(
        self, kafka: KafkaSettings, max_bytes: int, topics: Sequence[str], group: str
    ) -> None:
        assignor = CooperativeStickyAssignor()
        super().__init__(
            kafka,
            max_bytes,
            group_id=group,
            group_instance_id=kafka.instance_id,
            partition_assignment_strategy=[assignor],
            session_timeout_ms=round(kafka.session_timeout_seconds * 1000),
            heartbeat_interval_ms=min(3000, round(kafka.session_timeout_seconds * 1000 / 3)),
            max_poll_interval_ms=round(kafka.max_poll_seconds * 1000),
        )
        keep_ended_joins(self._consumer._coordinator)
        self._topics = tuple(topics)
        # A new generation starts when others have already read the log.
        self._gaps = Gaps(self._consumer, group, new_group_is_loss=not kafka.generation)
        self._listener = _Listener(self._consumer, assignor, self._gaps)
        self._kept_alive = 0.0
        self._consumer.subscribe(topics=list(topics), listener=self._listener)
        # A member that joins before it knows the topics' partitions must join twice.
        refreshed(self._client, kafka.request_timeout_seconds)

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        """The next messages; see common.messaging.transport.Consumer."""
        if self._listener.holding:
            self._listener.holding = False
            self._consumer.resume(*self._consumer.paused())
        self._pay_if_possible()
        return super().poll(max_messages, timeout_seconds)

    def expired(self) -> int:
        """See common.messaging.transport.Consumer."""
        return self._gaps.taken()

    def keep_alive(self) -> None:
        """Stay a member and take part in rebalances, without fetching messages."""
        now = time.monotonic()
        if now - self._kept_alive < _KEEP_ALIVE_SECONDS:
            return
        self._listener.holding = True
        self._consumer.pause(*self._consumer.assignment())
        # A rebalance needs a moment to get on; otherwise nothing is waited for.
        patience = 0.0 if self._state() is MemberState.STABLE else _KEEP_ALIVE_SECONDS / 2
        for partition, records in self._poll(1, patience).items():
            self._consumer.seek(partition, records[0].offset)
        self._kept_alive = time.monotonic()
        self._pay_if_possible()

    def commit(self, messages: Iterable[ReceivedMessage]) -> None:
        """See common.messaging.transport.Consumer. A commit made during a rebalance is kept and done
        when the rebalance is over, if the partition is still here. Raises BrokerError."""
        assigned = self._consumer.assignment()
        self._listener.owed.update(
            (partition, offset)
            for partition, offset in next_offsets(messages).items()
            if partition in assigned
        )
        try:
            self._pay()
        except KafkaError as error:
            raise in_our_words(error, self._kafka) from None

    def _poll(self, max_messages: int, timeout_seconds: float) -> dict[TopicPartition, list[Any]]:
        # A poll that ends while the group rebalances leaves joining under way. When new partitions are
        # why the member joins, kafka-python forgets about it then, and the member neither joins nor
        # leaves the group. A request to rejoin completes the join.
        if self._state() is MemberState.REBALANCING:
            self._consumer._coordinator.request_rejoin()
        polled = super()._poll(max_messages, timeout_seconds)
        timeout_ms = round(self._kafka.request_timeout_seconds * 1000)
        for partition, offset in self._gaps.look(polled, timeout_ms).items():
            if partition not in polled:
                # Nothing before it can be read again, whatever is in work.
                self._listener.owed[partition] = OffsetAndMetadata(offset, "", -1)
        return polled

    def _state(self) -> MemberState:
        return self._consumer.group_metadata().state

    def _pay_if_possible(self) -> None:
        try:
            self._pay()
        except KafkaError as error:
            log.debug("a commit failed and is retried: %s", error)

    def _pay(self) -> None:
        """Commit what is owed, unless the group rebalances: then it stays owed."""
        offsets = dict(self._listener.owed)
        if not offsets or self._state() is not MemberState.STABLE:
            return
        timeout = round(self._kafka.request_timeout_seconds * 1000)
        try:
            self._consumer.commit(offsets, timeout_ms=timeout)
        except RebalanceInProgressError:
            return
        except (CommitFailedError, IllegalGenerationError, UnknownMemberIdError) as error:
            if error.args and isinstance(error.args[0], RebalanceInProgressError):
                return
            log.info("partitions were revoked; their new owner repeats the work")
        for partition in offsets:
            self._listener.owed.pop(partition, None)
