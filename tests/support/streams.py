"""Fakes for tests of a worker: a stage whose messages determine their result, and a transport that
fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from common.errors import DependencyError, VideoError, WireError
from common.http.health import Health
from common.messaging.handler import Handler, Item
from common.messaging.priority_consumers import PriorityConsumer
from common.messaging.transport import Consumer, Message, ReceivedMessage
from common.messaging.wire import Envelope, to_message
from common.messaging.worker import Worker
from common.metrics import Metrics
from common.settings import ServiceSettings
from common.types import Segment, SegmentRef
from common.work_in_progress import WorkInProgress
from tests.support.memory_transport import MemoryPublisher, MemoryTransport

LIVE, BACKFILL, LOG, DEAD_LETTERS = "segments", "segments.backfill", "embeddings", "dead-letters"
GROUP = "embedders"
GOOD, POISON, UNFORESEEN = b"good", b"poison", b"unforeseen"
# The result of a segment with this clip is much larger than the segment.
SWELLING = b"swelling"
_SWOLLEN_BYTES = 1 << 16
QUICK = ServiceSettings(retry_seconds=0.001, max_retry_seconds=0.002)


class Killed(BaseException):
    """Stands for the end of the process."""


def segment(name: str, clip: bytes = GOOD, *, topic: str = LIVE, partition: int = 0) -> Message:
    """A message with a segment of the video `name`. Its clip determines the result."""
    envelope = Envelope(Segment(SegmentRef(name, 0.0, 4.0), clip), 1000.0, f"trace-{name}")
    return replace(to_message(topic, envelope), partition=partition)


def damaged(name: str, *, partition: int = 0) -> Message:
    """A message that is not in StoryHash's format."""
    return Message(LIVE, name.encode(), b"\xc1", (("from", b"elsewhere"),), partition=partition)


def named(items: Iterable[Item]) -> list[str]:
    """The ids of the videos in a batch, in order."""
    return [item.envelope.event.ref.video_id for item in items]  # type: ignore[union-attr]


class Stage:
    """Publishes `done` for a segment's video, or fails if its clip says so.

    before: called first with each batch; it may wait or raise.
    """

    stage = "embed"

    def __init__(
        self, batch_messages: int = 100, before: Callable[[Sequence[Item]], None] = lambda _: None
    ) -> None:
        self.batch_messages = batch_messages
        self.batches: list[list[str]] = []
        self._before = before

    def process(self, items: Sequence[Item]) -> list[Message]:
        self.batches.append(named(items))
        self._before(items)
        for item in items:
            clip = item.envelope.event.clip  # type: ignore[union-attr]
            if clip.startswith(POISON):
                raise VideoError("the clip does not decode")
            if clip == UNFORESEEN:
                raise ZeroDivisionError("nobody thought of it")
        return [self._made_of(item) for item in items]

    def _made_of(self, item: Item) -> Message:
        (name,) = named([item])
        swells = item.envelope.event.clip == SWELLING  # type: ignore[union-attr]
        return Message(LOG, name.encode(), b"x" * _SWOLLEN_BYTES if swells else b"done")

    def unreadable(self, received: ReceivedMessage, error: WireError) -> list[Message]:
        return []

    def refused(self, item: Item, error: Exception) -> list[Message]:
        (name,) = named([item])
        return [Message(LOG, name.encode(), b"refused")]


class Journal:
    """A log of events, one line each, and a plan of failures: step number to error.

    Every `poll` and `commit` of a consumer and every `publish` and `flush` of the publisher is a step. A
    test may add steps, for example in the `before` of a stage.
    """

    def __init__(self, failures: dict[int, BaseException] | None = None) -> None:
        self.lines: list[str] = []
        self._failures = failures or {}
        self._steps = 0
        self._lock = threading.Lock()

    def note(self, line: str) -> None:
        with self._lock:
            self.lines.append(line)

    def step(self) -> None:
        with self._lock:
            self._steps += 1
            failure = self._failures.pop(self._steps, None)
        if failure is not None:
            raise failure


class SlowPublisher(MemoryPublisher):
    """Publishes messages only when it is flushed. A flush that fails publishes only half of them."""

    def __init__(self, transport: MemoryTransport, journal: Journal) -> None:
        super().__init__(transport)
        self._journal = journal
        self._waiting: list[Message] = []

    def publish(self, message: Message) -> None:
        self._journal.step()
        self.check(message)
        self._waiting.append(message)

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            self._journal.step()
        except BaseException:
            for message in waiting[::2]:
                super().publish(message)
            raise
        for message in waiting:
            super().publish(message)
        self._journal.note(f"flush {len(waiting)}")


class WatchedConsumer:
    """A consumer that records its calls.

    on_commit: called with the messages before they are committed. on_keep_alive: called each time.
    """

    def __init__(
        self,
        consumer: Consumer,
        journal: Journal,
        *,
        name: str = "",
        on_commit: Callable[[Sequence[ReceivedMessage]], None] = lambda _: None,
        on_keep_alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._consumer = consumer
        self._journal = journal
        self._tail = f" {name}" if name else ""
        self._on_commit = on_commit
        self._on_keep_alive = on_keep_alive

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        self._journal.step()
        # All messages are already there, so a test need not wait.
        batch = self._consumer.poll(max_messages, min(timeout_seconds, 0.001))
        self._journal.note(f"poll {len(batch)}{self._tail}")
        return batch

    def keep_alive(self) -> None:
        self._journal.note(f"keep alive{self._tail}")
        self._on_keep_alive()
        self._consumer.keep_alive()

    def commit(self, messages: Iterable[ReceivedMessage]) -> None:
        self._journal.step()
        taken = list(messages)
        self._on_commit(taken)
        self._consumer.commit(taken)
        self._journal.note(f"commit {len(taken)}{self._tail}")

    def lag(self) -> int:
        return self._consumer.lag()

    def expired(self) -> int:
        return self._consumer.expired()

    def close(self) -> None:
        self._consumer.close()


def _as_it_is(consumer: Consumer) -> Consumer:
    return consumer


class Bench:
    """A worker over a transport in memory, with access to everything around it."""

    def __init__(
        self,
        handler: Handler,
        *,
        transport: MemoryTransport | None = None,
        journal: Journal | None = None,
        settings: ServiceSettings = QUICK,
        stuck_seconds: float = 3600.0,
        topics: Sequence[str] = (LIVE,),
        ahead: bool = False,
        around: Mapping[str, Callable[[Consumer], Consumer]] = {},
        on_commit: Callable[[Sequence[ReceivedMessage]], None] = lambda _: None,
        on_keep_alive: Callable[[], None] = lambda: None,
        in_hand: WorkInProgress | None = None,
    ) -> None:
        """around: wrappers for the consumers, by topic."""
        self.transport = transport or MemoryTransport(partitions=3)
        self.journal = journal or Journal()
        self.metrics = Metrics.create("embed")
        self.health = Health(self.metrics, ("broker",), stuck_seconds)
        self.consumers = {
            topic: WatchedConsumer(
                around.get(topic, _as_it_is)(self.transport.group_consumer([topic], GROUP)),
                self.journal,
                name=topic if len(topics) > 1 else "",
                on_commit=on_commit,
                on_keep_alive=on_keep_alive,
            )
            for topic in topics
        }
        self.worker = Worker(
            handler,
            [
                PriorityConsumer(topic, consumer, ahead)
                for topic, consumer in self.consumers.items()
            ],
            SlowPublisher(self.transport, self.journal),
            DEAD_LETTERS,
            health=self.health,
            metrics=self.metrics,
            settings=settings,
            in_hand=in_hand,
        )

    def send(self, *messages: Message) -> None:
        publisher = self.transport.publisher()
        for message in messages:
            publisher.publish(message)

    def work_it_off(self) -> None:
        """Run the worker until nothing is left to do."""
        self.worker.run(idle=lambda: True)

    def told(self, topic: str = LOG) -> list[tuple[str, bytes | None]]:
        """Key and value of all messages in a topic."""
        return [(one.key.decode(), one.value) for one in self.transport.scan(topic)]

    def done(self) -> list[str]:
        """Names of the processed segments, sorted."""
        return sorted(key for key, value in self.told() if value == b"done")

    def committed(self, topic: str = LIVE) -> dict[int, int]:
        """The committed offset of each partition that has one."""
        return self.transport.committed(topic, GROUP)

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"storyhash_{name}", labels) or 0.0

    def begin(self) -> threading.Thread:
        """Run the worker in a thread. The test must stop it."""
        thread = threading.Thread(target=self.worker.run, daemon=True)
        thread.start()
        return thread


def ended(thread: threading.Thread) -> bool:
    """Whether the thread ends within 30 s. If it does not, the test has found an error."""
    thread.join(300)
    return not thread.is_alive()


def failing(times: int, error: Callable[[], Exception] | None = None) -> Callable[..., None]:
    """A function that raises in its first `times` calls, like a dependency that recovers."""
    left = [times]

    def call(*_: object) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise error() if error else DependencyError("the model's server is down")

    return call
