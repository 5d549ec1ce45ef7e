"""The one loop every service runs: poll, process, publish, flush, commit.

1. A batch is taken from the first lane that has one: a live lane comes before a backfill.
2. It is processed in a thread of its own, while this one keeps every lane's membership alive and takes
   nothing: a slow stage holds back consumption, not the group.
3. What came of it is published and flushed, so that it is durable;
4. then the batch is committed. A crash anywhere before does the batch again.

While a batch is processed, the next one is fetched and decoded from topics with a higher priority and
from topics that no other member reads.

What is in work is noted in a file (`common.work_in_progress`). After a crash each of those messages is
processed alone; one that crashes the process again becomes a dead letter.

A dependency that fails is waited for with growing pauses; nothing is committed meanwhile. A message that
cannot be used is found by halving the batch until it stands alone, and goes to the dead letters.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from hashlib import blake2b
from typing import TypeVar

from common.errors import CorruptIndexError, DataFolderError, MessageTooLargeError, SetAsideError
from common.http.health import Health
from common.log_context import log_context
from common.messaging.dead_letters import (
    dead_letter,
    reason_of,
    traceback_hash,
    without_original,
    without_value,
)
from common.messaging.handler import Handler, Item
from common.messaging.priority_consumers import Batch, PriorityConsumer, PriorityConsumers
from common.messaging.spans import spans_of
from common.messaging.transport import Message, Publisher, ReceivedMessage
from common.messaging.wire import video_of
from common.metrics import Metrics
from common.retry import dependency_backoff
from common.settings import ServiceSettings
from common.work_in_progress import WorkInProgress, alone

Result = TypeVar("Result")

_log = logging.getLogger("storyhash.worker")
_KEEP_ALIVE_SECONDS = 0.25
_SET_ASIDE = (
    "the service crashed twice while it processed this message alone; find the cause "
    "before you replay it (storyhash dead-letters replay)"
)
# What no other message or moment would mend, so that the service must stop and say it.
_FATAL = (CorruptIndexError, DataFolderError)


class Worker:
    """Runs one handler until it is told to stop."""

    def __init__(
        self,
        handler: Handler,
        sources: Sequence[PriorityConsumer],
        publisher: Publisher,
        dead_letter_topic: str,
        *,
        health: Health,
        metrics: Metrics,
        settings: ServiceSettings,
        in_hand: WorkInProgress | None = None,
    ) -> None:
        """in_hand: where what is in work is noted; nowhere by default. The caller closes it."""
        self._handler = handler
        self._publisher = publisher
        self._dead_letter_topic = dead_letter_topic
        self._health = health
        self._metrics = metrics
        self._settings = settings
        self._in_hand = in_hand or WorkInProgress()
        self._stopping = threading.Event()
        self._consumers = PriorityConsumers(sources, handler, health, metrics, self._stopping)
        self._given_up = threading.Event()

    def stop(self) -> None:
        """Finish the current batch, for `service.stop_seconds` at most, then return from `run`. A batch
        that waits for a dependency is abandoned at once; it is not committed."""
        self._stopping.set()

    def run(self, *, idle: Callable[[], bool] = lambda: False) -> None:
        """Work until stopped, or until `idle`, asked when nothing is there to do, says so.

        Raises what no retry mends: CorruptIndexError and its kin.
        """
        while not self._stopping.is_set():
            self._health.beat()
            batch = self._consumers.ahead()
            batch = batch or self._retried("topics", self._consumers.next, self._consumers.stay)
            if batch is None:
                return
            self._consumers.observe()
            if not batch.received:
                if idle():
                    return
                continue
            if self._alongside(partial(self._work, batch), batch.source):
                commit = partial(batch.source.consumer.commit, batch.received)
                self._retried("broker", commit, self._consumers.stay)

    def close(self) -> None:
        """Leave every group, so that others take over."""
        self._consumers.close()

    def _alongside(self, work: Callable[[], bool], source: PriorityConsumer) -> bool:
        """Run `work` on a lane's batch in a thread while keeping the lanes alive; its answer, or what it
        raised."""
        done = threading.Event()
        outcome: list[bool | BaseException] = []

        def run() -> None:
            try:
                outcome.append(work())
            except BaseException as error:
                outcome.append(error)
            done.set()

        threading.Thread(target=run, name=f"{self._handler.stage}-work", daemon=True).start()
        self._consumers.take_ahead(source)
        deadline: float | None = None
        # No beat here: it is the work that must get on, and it beats itself.
        while not done.wait(_KEEP_ALIVE_SECONDS):
            self._consumers.stay()
            self._consumers.take_ahead(source)
            if self._stopping.is_set():
                deadline = deadline or time.monotonic() + self._settings.stop_seconds
                if time.monotonic() > deadline:
                    _log.warning("returning a batch that cannot be finished before shutdown")
                    self._given_up.set()
                    return False
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _work(self, batch: Batch) -> bool:
        """Process, publish, flush. False when given up on."""
        letters = [self._letter(received, error) for received, error in batch.unreadable]
        for received, error in batch.unreadable:
            letters += self._handler.unreadable(received, error)
        names = [_name(item.received) for item in batch.items]
        suspect = map(self._in_hand.is_suspect, names)
        for run in alone(zip(batch.items, names, strict=True), suspect):
            if not self._work_on([item for item, _ in run], [name for _, name in run]):
                return False
        return self._published(letters)

    def _work_on(self, items: Sequence[Item], names: Sequence[str]) -> bool:
        """Process, publish and flush messages of these names; False when given up on."""
        if self._in_hand.is_set_aside(names[0]):
            messages: list[Message] | None = self._refused(items[0], SetAsideError(_SET_ASIDE))
        else:
            messages = self._process(items)
        if messages is None or not self._published(messages, names):
            return False
        self._in_hand.done(*names)
        return True

    def _published(self, messages: Sequence[Message], names: Sequence[str] = ()) -> bool:
        """What messages of these names led to; False when given up on."""
        if not messages:
            return True
        return self._retried("broker", partial(self._publish, messages, names)) is not None

    def _process(self, items: Sequence[Item]) -> list[Message] | None:
        """What a batch leads to; what in it cannot be used leads to a dead letter. None when given up on.

        Each half is waited for by itself, so what is done is not done again because a dependency fails.
        """
        if not items:
            return []
        try:
            return self._retried("stage", partial(self._attempt, items))
        except _FATAL:
            raise
        except Exception as error:
            if self._given_up.is_set():
                # What it works with may have been closed under it.
                return None
            if len(items) == 1:
                return self._refused(items[0], error)
        middle = len(items) // 2
        first = self._process(items[:middle])
        second = None if first is None else self._process(items[middle:])
        return None if first is None or second is None else [*first, *second]

    def _refused(self, item: Item, error: Exception) -> list[Message]:
        with _about([item]):
            letter = self._letter(item.received, error)
        return [*self._handler.refused(item, error), letter]

    def _attempt(self, items: Sequence[Item]) -> list[Message]:
        # In hand only while something is done with it: who waits for a dependency is often killed.
        names = [_name(item.received) for item in items]
        with (
            _about(items),
            self._in_hand.holding(names),
            self._metrics.time_stage(self._handler.stage),
            spans_of(self._handler.stage, items) as traced,
        ):
            messages = self._handler.process(traced)
        # Found here it is the fault of one message; when it is published, of the whole batch, for ever.
        for message in messages:
            self._publisher.check(message)
        return messages

    def _letter(self, received: ReceivedMessage, error: Exception) -> Message:
        stage, reason = self._handler.stage, reason_of(error)
        self._metrics.dead_letters_total.labels(stage, reason).inc()
        source = f"{received.topic}/{received.partition}/{received.offset}"
        # Only an unexpected error is logged with its traceback.
        _log.warning(
            "dead letter %s: %s (%s, %s)",
            source,
            error,
            reason,
            traceback_hash(error),
            exc_info=error if reason == "internal" else None,
        )
        letter = dead_letter(self._dead_letter_topic, received, stage, error)
        # It grew by the headers that say why; stopping for it would be stopping for ever.
        for lighter in (without_value, without_original):
            try:
                self._publisher.check(letter)
            except MessageTooLargeError:
                letter = lighter(letter)
        return letter

    def _publish(self, messages: Sequence[Message], names: Sequence[str]) -> bool:
        with self._in_hand.holding(names):
            for message in messages:
                self._publisher.publish(message)
            self._publisher.flush()
        return True

    def _retried(
        self,
        condition: str,
        work: Callable[[], Result],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Result | None:
        """`work`'s answer, tried again while a dependency fails; None when given up on."""

        def attempt() -> Result | None:
            if self._given_up.is_set():
                return None
            self._health.beat()
            result = work()
            self._health.met(condition)
            return result

        return dependency_backoff(
            condition,
            self._handler.stage,
            health=self._health,
            metrics=self._metrics,
            settings=self._settings,
            stopping=self._stopping,
            while_waiting=meanwhile,
        ).call(attempt)


def _about(items: Sequence[Item]) -> AbstractContextManager[None]:
    """Log lines name the video and the trace of these messages, if all have the same."""
    videos = {(video_of(item.envelope.event), item.envelope.trace_id) for item in items}
    if len(videos) != 1:
        return nullcontext()
    ((video_id, trace_id),) = videos
    return log_context(video_id=video_id, trace_id=trace_id)


def _name(received: ReceivedMessage) -> str:
    """The offset of a message and its key: a topic that was created again has other messages at the same
    offsets."""
    key = blake2b(received.key, digest_size=8).hexdigest()
    return f"{received.topic}/{received.partition}/{received.offset} {key}"
