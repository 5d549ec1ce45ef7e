"""Messages from Kafka: shared within a group, or a whole topic read by one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    SaslAuthenticationFailedError,
    UnknownMemberIdError,
)
from kafka.structs import MemberState, OffsetAndMetadata

from common.kafka_client import (
    Missing,
    Outage,
    in_our_words,
    log,
    open_client,
    partitions_of,
    refreshed,
)
from common.kafka_joining import keep_ended_joins
from common.settings import KafkaSettings
from common.transport import Received

_FETCH_WAIT_MS = 200
# What lies fetched in memory and not yet polled, at most, for each broker.
_FETCH_BYTES = 16 << 20
_CLOSE_SECONDS = 5.0
_PAUSE_SECONDS = 0.2
# How often staying a member costs a round trip.
_KEEP_ALIVE_SECONDS = 0.2
_NEW_PARTITIONS_SECONDS = 30.0
# Waiting does not cure these.
_FATAL = (AuthorizationError, SaslAuthenticationFailedError, FencedInstanceIdError)


def reader_settings(kafka: KafkaSettings, max_bytes: int) -> dict[str, Any]:
    """What every consumer is told besides its connection; `max_bytes` is the largest message."""
    return {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": max_bytes,
        "fetch_max_bytes": max(_FETCH_BYTES, max_bytes),
        "fetch_max_wait_ms": min(_FETCH_WAIT_MS, round(kafka.request_timeout_seconds * 500)),
        "metrics_enabled": False,
    }


class _Reader:
    """What both consumers have in common: polling, lag, closing."""

    def __init__(self, kafka: KafkaSettings, max_bytes: int, **settings: Any) -> None:
        self._kafka = kafka
        self._consumer, self._client = open_client(
            kafka, KafkaConsumer, **reader_settings(kafka, max_bytes), **settings
        )
        self._outage = Outage(self._client, kafka)
        self._missing = Missing()
        self._topics: tuple[str, ...] = ()
        # Where partitions ended when reading began, for as long as nothing newer was heard.
        self._ends: dict[TopicPartition, int] = {}

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Received]:
        """The next messages; see common.transport.Consumer."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            found = self._poll(max_messages, left)
            if found:
                self._outage.watch()
                return [received(record) for records in found.values() for record in records]
            if time.monotonic() >= deadline:
                self._outage.watch()
                self._missing.look(self._client, self._topics)
                return []

    def lag(self) -> int:
        """Messages behind the last one polled, as last heard; a partition not heard of counts 0."""
        total = 0
        for place in self._consumer.assignment():
            end = self._consumer.highwater(place)
            if end is None:
                end = self._ends.get(place)
            if end is None:
                continue
            try:
                position = self._consumer.position(place, timeout_ms=0)
            except KafkaError:
                continue
            if position is not None:
                total += max(0, end - position)
        return total

    def unreachable(self) -> str:
        """Why nothing comes; see common.transport.Consumer."""
        return self._outage.reason

    def close(self) -> None:
        """Leave the group at once; a static member stays in it until its session times out."""
        timeout = min(_CLOSE_SECONDS, self._kafka.request_timeout_seconds)
        try:
            self._consumer.close(autocommit=False, timeout_ms=round(timeout * 1000))
        except KafkaError as error:
            log.info("a consumer could not say goodbye: %s", error)

    def _poll(self, max_messages: int, timeout_seconds: float) -> dict[TopicPartition, list[Any]]:
        try:
            found: dict[TopicPartition, list[Any]] = self._consumer.poll(
                timeout_ms=timeout_seconds * 1000, max_records=max_messages
            )
        except _FATAL as error:
            raise in_our_words(error, self._kafka) from None
        except KafkaError as error:
            log.debug("a poll failed and is tried again: %s", error)
            time.sleep(min(_PAUSE_SECONDS, timeout_seconds))
            return {}
        return found


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hears, on the thread of the connection, which partitions come and go."""

    def __init__(self, consumer: KafkaConsumer, assignor: CooperativeStickyAssignor) -> None:
        self._consumer = consumer
        self._assignor = assignor
        self.holding = False
        # Commits that a rebalance put off, of partitions that are here.
        self.owed: dict[TopicPartition, OffsetAndMetadata] = {}

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._forget(assigned)
        if self.holding:
            self._consumer.pause(*assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._forget(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._forget(lost)
        # Or it would claim, when it joins again, what others have by now.
        self._assignor.member_assignment = None

    def _forget(self, places: Iterable[TopicPartition]) -> None:
        for place in places:
            self.owed.pop(place, None)


class KafkaGroupConsumer(_Reader):
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
        self._listener = _Listener(self._consumer, assignor)
        self._kept_alive = 0.0
        self._consumer.subscribe(topics=list(topics), listener=self._listener)
        # Who joins before it knows the topics' partitions has to join twice.
        refreshed(self._client, kafka.request_timeout_seconds)

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Received]:
        """The next messages; see common.transport.Consumer."""
        if self._listener.holding:
            self._listener.holding = False
            self._consumer.resume(*self._consumer.paused())
        self._pay_if_possible()
        return super().poll(max_messages, timeout_seconds)

    def keep_alive(self) -> None:
        """Stay a member, take part in rebalances, and take nothing."""
        now = time.monotonic()
        if now - self._kept_alive < _KEEP_ALIVE_SECONDS:
            return
        self._listener.holding = True
        self._consumer.pause(*self._consumer.assignment())
        # A rebalance needs a moment to get on; otherwise nothing is waited for.
        patience = 0.0 if self._state() is MemberState.STABLE else _KEEP_ALIVE_SECONDS / 2
        for place, records in self._poll(1, patience).items():
            self._consumer.seek(place, records[0].offset)
        self._kept_alive = time.monotonic()
        self._pay_if_possible()

    def commit(self, messages: Iterable[Received]) -> None:
        """See common.transport.Consumer. While the group rebalances, the commit is kept and done
        when that is over, if the partition is still here. Raises BrokerError."""
        assigned = self._consumer.assignment()
        self._listener.owed.update(
            (place, offset) for place, offset in next_offsets(messages).items() if place in assigned
        )
        try:
            self._pay()
        except KafkaError as error:
            raise in_our_words(error, self._kafka) from None

    def _poll(self, max_messages: int, timeout_seconds: float) -> dict[TopicPartition, list[Any]]:
        # A poll that ends while the group rebalances leaves joining under way. When new partitions
        # are why the member joins, kafka-python forgets about it then, and the member is neither
        # in the group nor out of it for ever; asked for a rejoin it finishes the one under way.
        if self._state() is MemberState.REBALANCING:
            self._consumer._coordinator.request_rejoin()
        return super()._poll(max_messages, timeout_seconds)

    def _state(self) -> MemberState:
        return self._consumer.group_metadata().state

    def _pay_if_possible(self) -> None:
        try:
            self._pay()
        except KafkaError as error:
            log.debug("a commit failed and is tried again: %s", error)

    def _pay(self) -> None:
        """Commit what is owed, unless the group rebalances: then it stays owed."""
        owed = dict(self._listener.owed)
        if not owed or self._state() is not MemberState.STABLE:
            return
        timeout = round(self._kafka.request_timeout_seconds * 1000)
        try:
            self._consumer.commit(owed, timeout_ms=timeout)
        except RebalanceInProgressError:
            return
        except (CommitFailedError, IllegalGenerationError, UnknownMemberIdError) as error:
            if error.args and isinstance(error.args[0], RebalanceInProgressError):
                return
            log.info("partitions were taken away; their new owner does the work again")
        for place in owed:
            self._listener.owed.pop(place, None)


class KafkaLogConsumer(_Reader):
    """Reads every partition of a topic, whatever others read."""

    def __init__(
        self,
        kafka: KafkaSettings,
        max_bytes: int,
        topic: str,
        offsets: Mapping[int, int],
        group: str,
    ) -> None:
        super().__init__(kafka, max_bytes, group_id=group)
        self._topics = (topic,)
        self._looked = time.monotonic()
        # Where partitions ended that have not been read so far.
        self._behind: dict[TopicPartition, int] = {}
        try:
            partitions = partitions_of(self._client, kafka, topic)
            places = [TopicPartition(topic, partition) for partition in partitions]
            self._consumer.assign(places)
            self._seek(places, offsets)
        except BaseException:
            super().close()
            raise

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Received]:
        """The next messages; see common.transport.Consumer."""
        if time.monotonic() - self._looked > _NEW_PARTITIONS_SECONDS:
            self._looked = time.monotonic()
            self._add_new_partitions()
        return super().poll(max_messages, timeout_seconds)

    def caught_up(self) -> bool:
        """See common.transport.LogConsumer."""
        if not self._behind:
            return True
        for place, end in list(self._behind.items()):
            with contextlib.suppress(KafkaError):
                position = self._consumer.position(place, timeout_ms=0)
                # What was last may have been compacted away; the position passes it all the same.
                if position is not None and position >= end:
                    del self._behind[place]
        return not self._behind

    def keep_alive(self) -> None:
        """Nobody else wants these partitions."""

    def commit(self, messages: Iterable[Received]) -> None:
        """Tell monitoring how far it is; a commit that fails is not repeated."""
        offsets = next_offsets(messages)
        if not offsets:
            return
        try:
            self._consumer.commit_async(offsets)
        except KafkaError as error:
            log.debug("progress was not told: %s", error)

    def _seek(self, places: Sequence[TopicPartition], offsets: Mapping[int, int]) -> None:
        """Go to the offsets given. Those beyond the end are of a log that was there before."""
        timeout = round(self._kafka.request_timeout_seconds * 1000)
        try:
            first = self._consumer.beginning_offsets(places, timeout_ms=timeout)
            end = self._consumer.end_offsets(places, timeout_ms=timeout)
        except KafkaError as error:
            raise in_our_words(error, self._kafka) from None
        self._ends = end
        for place in places:
            offset = offsets.get(place.partition, first[place])
            if offset > end[place]:
                log.warning(
                    "%s partition %d ends at %d, before %d: it was made anew; reading all of it",
                    *(place.topic, place.partition, end[place], offset),
                )
                offset = first[place]
            self._consumer.seek(place, max(offset, first[place]))
        self._behind = dict(end)

    def _add_new_partitions(self) -> None:
        topic = self._topics[0]
        known = self._consumer.assignment()
        now = {
            TopicPartition(topic, n) for n in self._client.cluster.partitions_for_topic(topic) or ()
        }
        new = sorted(now - known)
        if new:
            log.info("%s has %d new partitions", topic, len(new))
            # Where the position is not known, reading begins at the oldest message.
            self._consumer.assign(sorted(known | now))
            self._consumer.seek_to_beginning(*new)


def received(record: Any) -> Received:
    """A record of kafka-python as ours; what other programs may leave out is empty."""
    return Received(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key or b"",
        value=record.value,
        headers=tuple((name, value or b"") for name, value in record.headers),
    )


def next_offsets(messages: Iterable[Received]) -> dict[TopicPartition, OffsetAndMetadata]:
    """The offset after the last message of each partition."""
    last: dict[tuple[str, int], int] = {}
    for message in messages:
        place = (message.topic, message.partition)
        last[place] = max(last.get(place, -1), message.offset)
    return {
        TopicPartition(*place): OffsetAndMetadata(offset + 1, "", -1)
        for place, offset in last.items()
    }
