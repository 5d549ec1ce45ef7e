"""`common.messaging.transport` within one process, without a broker, for tests of loops.

There is no compaction, and only `expire` and `recreate` delete messages. Every topic exists, and the
offsets of a partition are the indices of its list.
"""

from __future__ import annotations

import threading
import time
import uuid
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from common.errors import BrokerError, MessageTooLargeError
from common.messaging.topics import max_message_bytes
from common.messaging.transport import Message, ReceivedMessage
from common.settings import VideoSettings

# A topic and the number of one of its partitions.
_Place = tuple[str, int]


class MemoryTransport:
    """Topics of `partitions` partitions each, shared by all publishers and consumers created here.

    max_bytes: size limit of a message (default: Kafka's). clock: the clock of the log, in Unix
    milliseconds.
    """

    def __init__(
        self,
        partitions: int = 4,
        max_bytes: int | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.partitions = partitions
        self.max_bytes = max_bytes or max_message_bytes(VideoSettings())
        self.changed = threading.Condition()
        self.clock = clock
        self._moment = 0
        self._begins: dict[_Place, int] = {}
        self._topics: dict[str, list[list[ReceivedMessage]]] = {}
        self._log_ids: dict[str, str] = {}
        self._groups: dict[str, _Group] = {}

    def publisher(self) -> MemoryPublisher:
        return MemoryPublisher(self)

    def group_consumer(self, topics: Sequence[str], group: str) -> MemoryGroupConsumer:
        with self.changed:
            consumer = MemoryGroupConsumer(self, self._group(group), topics)
            self._group(group).join(consumer)
            self.changed.notify_all()
        return consumer

    def log_consumer(
        self, topic: str, offsets: Mapping[int, int], group: str, log_id: str = ""
    ) -> MemoryLogConsumer:
        with self.changed:
            kept = offsets if log_id in ("", self.log_id(topic)) else {}
            return MemoryLogConsumer(self, self._group(group), topic, kept)

    def recreate(self, topic: str) -> None:
        """Delete a topic and create it again, empty."""
        with self.changed:
            self._topics.pop(topic, None)
            self._begins = {place: at for place, at in self._begins.items() if place[0] != topic}
            self._log_ids[topic] = uuid.uuid4().hex

    def log_id(self, topic: str) -> str:
        """See common.messaging.transport.LogConsumer."""
        return self._log_ids.setdefault(topic, uuid.uuid4().hex)

    def scan(self, topic: str) -> Iterable[ReceivedMessage]:
        """All current messages of a topic, partition after partition."""
        with self.changed:
            messages = [
                message
                for number, partition in enumerate(self.log(topic))
                for message in partition[self.begin((topic, number)) :]
            ]
        return iter(messages)

    def committed(self, topic: str, group: str) -> dict[int, int]:
        """See common.messaging.transport.Transport."""
        with self.changed:
            held = self._group(group).committed
            return {number: offset for (name, number), offset in held.items() if name == topic}

    def forget_group(self, group: str) -> None:
        """Delete the committed offsets of a group, as a broker does after the group was away for long."""
        with self.changed:
            self._group(group).committed.clear()

    def ends(self, topic: str) -> dict[int, int]:
        """See common.messaging.transport.Transport."""
        with self.changed:
            return {number: len(log) for number, log in enumerate(self.log(topic))}

    def overdue(self, topic: str, group: str, before_ms: int) -> int:
        """See common.messaging.transport.Transport."""
        committed = self.committed(topic, group)
        with self.changed:
            return sum(
                (one.appended_ms or 0) < before_ms
                for number, log in enumerate(self.log(topic))
                for one in log[max(committed.get(number, 0), self.begin((topic, number))) :]
            )

    def moment(self, topic: str) -> int:
        """See common.messaging.transport.Transport."""
        with self.changed:
            self._moment = max(self.clock(), self._moment + 1)
            return self._moment

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Delete the messages of a partition before an offset, as retention does."""
        with self.changed:
            self._begins[topic, partition] = max(before, self.begin((topic, partition)))

    def begin(self, place: _Place) -> int:
        """The oldest offset of a partition; `changed` must be held."""
        return self._begins.get(place, 0)

    def close(self) -> None:
        """Nothing to release."""

    def log(self, topic: str) -> list[list[ReceivedMessage]]:
        """The partitions of a topic; `changed` must be held."""
        return self._topics.setdefault(topic, [[] for _ in range(self.partitions)])

    def _group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group(self))


class _Group:
    """The committed offsets of a group, and the assignment of partitions to its members. `changed` must
    be held."""

    def __init__(self, transport: MemoryTransport) -> None:
        self.committed: dict[_Place, int] = {}
        self._transport = transport
        self._members: list[MemoryGroupConsumer] = []

    def join(self, member: MemoryGroupConsumer) -> None:
        self._members.append(member)
        self._rebalance()

    def leave(self, member: MemoryGroupConsumer) -> None:
        if member in self._members:
            self._members.remove(member)
            self._rebalance()

    def _rebalance(self) -> None:
        """Assign every partition to one member, with as few changes as possible."""
        places: dict[_Place, list[MemoryGroupConsumer]] = defaultdict(list)
        for member in self._members:
            for topic in member.topics:
                for partition in range(len(self._transport.log(topic))):
                    places[topic, partition].append(member)
        shares: dict[int, list[_Place]] = {id(member): [] for member in self._members}
        sure = len(places) // max(1, len(self._members))
        orphans = []
        for place, takers in places.items():
            owner = next((one for one in takers if place in one.positions), None)
            if owner is not None and len(shares[id(owner)]) < sure:
                shares[id(owner)].append(place)
            else:
                orphans.append(place)
        for place in orphans:
            least = min(
                places[place], key=lambda one: (len(shares[id(one)]), place not in one.positions)
            )
            shares[id(least)].append(place)
        for member in self._members:
            member.assign(shares[id(member)])


class MemoryPublisher:
    """Every message is acknowledged when it is published."""

    def __init__(self, transport: MemoryTransport) -> None:
        self._transport = transport

    def publish(self, message: Message) -> None:
        """Append a message. Raises MessageTooLargeError, or BrokerError if the partition does not
        exist."""
        self.check(message)
        with self._transport.changed:
            partitions = self._transport.log(message.topic)
            number = message.partition
            if number is None:
                key = message.key if message.partition_key is None else message.partition_key
                number = zlib.crc32(key) % len(partitions)
            elif not 0 <= number < len(partitions):
                raise BrokerError(
                    f"topic {message.topic} has {len(partitions)} partitions, so partition "
                    f"{number} does not exist"
                )
            log = partitions[number]
            log.append(
                ReceivedMessage(
                    topic=message.topic,
                    partition=number,
                    offset=len(log),
                    key=message.key,
                    value=message.value,
                    headers=message.headers,
                    appended_ms=self._transport.clock(),
                )
            )
            self._transport.changed.notify_all()

    def check(self, message: Message) -> None:
        """Check the size of a message. Raises MessageTooLargeError."""
        size = len(message.key) + len(message.value or b"")
        size += sum(len(name.encode()) + len(value) for name, value in message.headers)
        if size > self._transport.max_bytes:
            raise MessageTooLargeError(
                f"a message for {message.topic} has {size} bytes; the limit is "
                f"{self._transport.max_bytes}"
            )

    def flush(self) -> None:
        """Everything is already acknowledged."""

    def close(self) -> None:
        """Nothing to release."""


class _Reader:
    """Reads partitions. `positions`: the next offset of each partition."""

    def __init__(self, transport: MemoryTransport, group: _Group) -> None:
        self.positions: dict[_Place, int] = {}
        self._transport = transport
        self._group = group
        self._expired = 0

    def expired(self) -> int:
        """See common.messaging.transport.Consumer."""
        with self._transport.changed:
            self._take(0)
            expired, self._expired = self._expired, 0
        return expired

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        """At most `max_messages` messages, partition after partition. It waits for the first one."""
        deadline = time.monotonic() + timeout_seconds
        with self._transport.changed:
            while True:
                found = self._take(max_messages)
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found
                self._transport.changed.wait(left)

    def keep_alive(self) -> None:
        """Members are never removed from a group here."""

    def lag(self) -> int:
        """Number of messages after the current position in its partitions."""
        with self._transport.changed:
            return sum(
                len(self._transport.log(topic)[partition]) - position
                for (topic, partition), position in self.positions.items()
            )

    def _take(self, most: int) -> list[ReceivedMessage]:
        found: list[ReceivedMessage] = []
        for place, position in self.positions.items():
            begin = self._transport.begin(place)
            if position < begin:
                self._expired += begin - position
                self.positions[place] = begin
                self._group.committed[place] = max(begin, self._group.committed.get(place, 0))
        # The partition read last goes to the end, so that every partition is read.
        for place in list(self.positions):
            if len(found) == most:
                break
            start = self.positions[place]
            taken = self._transport.log(place[0])[place[1]][start : start + most - len(found)]
            if taken:
                del self.positions[place]
                self.positions[place] = start + len(taken)
                found += taken
        return found


class FailingPublisher(MemoryPublisher):
    """Holds back what is published until it is flushed. After so many flushes the broker is gone, and
    what was held back is lost."""

    def __init__(self, transport: MemoryTransport, flushes: int = 10**9) -> None:
        super().__init__(transport)
        self._flushes = flushes
        self._waiting: list[Message] = []

    def publish(self, message: Message) -> None:
        self.check(message)
        self._waiting.append(message)

    def flush(self) -> None:
        if self._flushes == 0:
            raise BrokerError("Kafka does not answer")
        self._flushes -= 1
        for message in self._waiting:
            super().publish(message)
        self._waiting = []


class MemoryGroupConsumer(_Reader):
    """A member of a group, created by MemoryTransport.group_consumer."""

    def __init__(self, transport: MemoryTransport, group: _Group, topics: Sequence[str]) -> None:
        super().__init__(transport, group)
        self.topics = tuple(topics)

    def assign(self, places: Iterable[_Place]) -> None:
        """Take over these partitions: those it had continue, the others start at the committed offset."""
        committed = self._group.committed
        self.positions = {
            place: self.positions.get(place, committed.get(place, 0)) for place in places
        }

    def commit(self, messages: Iterable[ReceivedMessage]) -> None:
        """Commit the messages of those partitions that it still has."""
        with self._transport.changed:
            for place, offset in _next_offsets(messages).items():
                if place in self.positions:
                    self._group.committed[place] = offset

    def close(self) -> None:
        """Leave the group. Other members take over at once."""
        with self._transport.changed:
            self._group.leave(self)
            self.positions = {}
            self._transport.changed.notify_all()


class MemoryLogConsumer(_Reader):
    """Reads a complete topic alone, created by MemoryTransport.log_consumer."""

    def __init__(
        self, transport: MemoryTransport, group: _Group, topic: str, offsets: Mapping[int, int]
    ) -> None:
        super().__init__(transport, group)
        self._topic = topic
        self.log_id = transport.log_id(topic)
        self._seek(offsets)

    def _seek(self, offsets: Mapping[int, int]) -> None:
        logs = self._transport.log(self._topic)
        for partition, log in enumerate(logs):
            offset = offsets.get(partition, 0)
            self.positions[self._topic, partition] = offset if offset <= len(log) else 0
        self._ends = {(self._topic, number): len(log) for number, log in enumerate(logs)}

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        """At most `max_messages` messages. A topic that was created again is read from its beginning."""
        with self._transport.changed:
            log_id = self._transport.log_id(self._topic)
            if self.positions and log_id != self.log_id:
                self.log_id = log_id
                self._seek({})
        return super().poll(max_messages, timeout_seconds)

    def caught_up(self) -> bool:
        """See common.messaging.transport.LogConsumer."""
        with self._transport.changed:
            return all(self.positions.get(place, 0) >= end for place, end in self._ends.items())

    def commit(self, messages: Iterable[ReceivedMessage]) -> None:
        """Commit the offsets; only monitoring uses them."""
        with self._transport.changed:
            self._group.committed.update(_next_offsets(messages))

    def close(self) -> None:
        """Stop reading."""
        with self._transport.changed:
            self.positions = {}


def _next_offsets(messages: Iterable[ReceivedMessage]) -> dict[_Place, int]:
    """The offset after the last message of each partition."""
    offsets: dict[_Place, int] = {}
    for message in messages:
        place = (message.topic, message.partition)
        offsets[place] = max(offsets.get(place, 0), message.offset + 1)
    return offsets
