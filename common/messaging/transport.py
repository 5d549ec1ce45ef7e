"""The seam between the services and whatever carries their messages: topics of ordered partitions.

Delivery is at least once. A message is acknowledged when `flush` returns; a consumer gets again, after
a crash or a rebalance, what it did not commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

Headers: TypeAlias = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """What is published. `value` None is a tombstone: compaction forgets the key.

    Messages of one `partition_key` (by default the key) keep their order. `partition` given, it goes
    there whatever its key.
    """

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers = ()
    partition_key: bytes | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message and where it is."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: Headers = ()
    # When it was appended, Unix milliseconds; None for what never lay in a log.
    appended_ms: int | None = field(default=None, compare=False)
    # Whether the log's own clock says so, or that of whoever wrote it.
    by_log: bool = field(default=True, compare=False)

    def header(self, name: str) -> bytes | None:
        """The last header of that name, or None."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


class Publisher(Protocol):
    """Sends messages; those of one partition key arrive in the order they were published, each once."""

    def publish(self, message: Message) -> None:
        """Queue a message; waits while too many bytes are on their way.

        Raises BrokerError when one published earlier was refused for good or the broker is gone too
        long, MessageTooLargeError for one no broker would take.
        """
        ...

    def check(self, message: Message) -> None:
        """Raises MessageTooLargeError for one no broker would take."""
        ...

    def flush(self) -> None:
        """Return when all that was published is acknowledged. Raises BrokerError."""
        ...

    def close(self) -> None:
        """Release connections; what is not flushed may be lost."""
        ...


class Consumer(Protocol):
    """Reads topics. One thread at a time."""

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        """The next messages over all partitions it has now, in order within each; [] after the
        timeout. An unreachable broker is waited for, not raised. Raises TopicMissingError."""
        ...

    def keep_alive(self) -> None:
        """Stay a member and take nothing: called often while a batch is worked on."""
        ...

    def commit(self, messages: Iterable[ReceivedMessage]) -> None:
        """Have these, and all before them in their partitions, not delivered again. Partitions that
        were taken away meanwhile are passed over: their new owner does that work again."""
        ...

    def lag(self) -> int:
        """Messages in its partitions that lie behind the last one polled, as last heard."""
        ...

    def expired(self) -> int:
        """Messages that retention deleted before this group read them, as noticed since the last call.
        Each loss is told once, to one member, and logged with its offsets."""
        ...

    def unreachable(self) -> str:
        """Why nothing comes though something may be there; empty while the log answers."""
        ...

    def close(self) -> None:
        """Leave the group at once, so that others take over."""
        ...


class LogConsumer(Consumer, Protocol):
    """Reads every partition of a topic by itself.

    A topic that is deleted and created again while it is read is read from its beginning; `log_id`
    changes with the poll that begins there.
    """

    @property
    def log_id(self) -> str:
        """Which log the offsets of its messages are of: a topic that is created again under the same
        name has another id. Empty where the broker gives none (Kafka before 2.8)."""
        ...

    def caught_up(self) -> bool:
        """Whether all has been polled that lay there when reading began."""
        ...


class Transport(Protocol):
    """Where publishers and consumers come from."""

    def publisher(self) -> Publisher: ...

    def group_consumer(self, topics: Sequence[str], group: str) -> Consumer:
        """Shares the partitions of topics with the other members of the group, from what the group
        committed; a new group begins at the oldest message."""
        ...

    def log_consumer(
        self, topic: str, offsets: Mapping[int, int], group: str, log_id: str = ""
    ) -> LogConsumer:
        """Reads every partition of a topic, each from the offset given and otherwise from the oldest
        message, whatever others read. Offsets of a log with another id than the topic's count for
        nothing. `commit` only tells monitoring, under `group`."""
        ...

    def scan(self, topic: str) -> Iterable[ReceivedMessage]:
        """Every message that lies in a topic now, partition after partition, then stops."""
        ...

    def moment(self, topic: str) -> int:
        """Unix milliseconds by the log's own clock, not the caller's: later than every moment given
        before, to whoever asked. A mark is written to `topic` for it.

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
        """Messages appended before a moment of the log's clock that a group has not committed and that
        are still there. Raises BrokerError."""
        ...

    def close(self) -> None: ...
