"""The interface between the services and a message broker: topics with ordered partitions.

Delivery is at least once. A message is acknowledged when `flush` returns. After a crash or a rebalance,
a consumer gets messages again that it did not commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

Headers: TypeAlias = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish. The value None is a tombstone: compaction removes the key.

    Messages with one `partition_key` (default: the key) keep their order. `partition` overrides the key.
    """

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers = ()
    partition_key: bytes | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message and its position."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: Headers = ()
    # Time of its append, Unix milliseconds; None if it was never in a log.
    appended_ms: int | None = field(default=None, compare=False)
    # Whether this time is from the log's clock, else from the writer's.
    by_log: bool = field(default=True, compare=False)

    def header(self, name: str) -> bytes | None:
        """The last header of that name, or None."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


class Publisher(Protocol):
    """Sends messages. Those of one partition key arrive in order, each once."""

    def publish(self, message: Message) -> None:
        """Queue a message; waits while too many bytes are in flight.

        Raises BrokerError if an earlier message was rejected or the broker is unreachable too long,
        MessageTooLargeError for a message above the limit.
        """
        ...

    def check(self, message: Message) -> None:
        """Raises MessageTooLargeError for a message above the limit."""
        ...

    def flush(self) -> None:
        """Return when all published messages are acknowledged. Raises BrokerError."""
        ...

    def close(self) -> None:
        """Release connections; messages that are not flushed may be lost."""
        ...


class Consumer(Protocol):
    """Reads topics. One thread at a time."""

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        """The next messages of all its partitions, in order within each; [] after the time-out. It waits
        for an unreachable broker. Raises TopicMissingError."""
        ...

    def keep_alive(self) -> None:
        """Stay a member without fetching messages; called often during the work on a batch."""
        ...

    def commit(self, messages: Iterable[ReceivedMessage]) -> None:
        """Commit these messages, and all before them in their partitions. Partitions that were revoked
        meanwhile are skipped: their new owner repeats the work."""
        ...

    def lag(self) -> int:
        """Number of messages in its partitions after the last one polled, as last reported."""
        ...

    def expired(self) -> int:
        """Number of messages that expired before this group read them, noticed since the last call. Each
        loss is reported once, to one member, and logged with its offsets."""
        ...

    def close(self) -> None:
        """Leave the group at once, so that other members take over."""
        ...


class LogConsumer(Consumer, Protocol):
    """Reads every partition of a topic by itself.

    A topic that is deleted and created again while it is read is read from its beginning; `log_id`
    changes with the poll that begins there.
    """

    @property
    def log_id(self) -> str:
        """Id of the log that its offsets belong to. A topic that is created again with the same name has
        a new id. Empty if the broker has none (Kafka before 2.8)."""
        ...

    def caught_up(self) -> bool:
        """Whether all messages that existed at the start have been polled."""
        ...


class Transport(Protocol):
    """Makes publishers and consumers, and answers questions about topics."""

    def publisher(self) -> Publisher: ...

    def group_consumer(self, topics: Sequence[str], group: str) -> Consumer:
        """A member of a group. It shares the topics' partitions with the other members, from the
        committed offsets; a new group begins at the oldest message."""
        ...

    def log_consumer(
        self, topic: str, offsets: Mapping[int, int], group: str, log_id: str = ""
    ) -> LogConsumer:
        """Reads every partition of a topic from the given offset, or else from the oldest message.
        Offsets are ignored if `log_id` is not the id of the topic. `commit` is only for monitoring,
        under `group`."""
        ...

    def scan(self, topic: str) -> Iterable[ReceivedMessage]:
        """Every message that is in a topic now, partition by partition."""
        ...

    def moment(self, topic: str) -> int:
        """Unix milliseconds by the log's clock, not the caller's; later than every earlier result for any
        caller. It writes a mark to `topic`.

        Raises BrokerError, TopicMissingError.
        """
        ...

    def committed(self, topic: str, group: str) -> dict[int, int]:
        """The next offset of each partition that a group has committed. Raises BrokerError."""
        ...

    def ends(self, topic: str) -> dict[int, int]:
        """The offset of the next message of each partition. Raises BrokerError."""
        ...

    def overdue(self, topic: str, group: str, before_ms: int) -> int:
        """Number of messages that were appended before a moment of the log's clock, that a group has not
        committed, and that have not expired. Raises BrokerError."""
        ...

    def close(self) -> None: ...
