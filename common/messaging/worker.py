"""The one loop every service runs: poll, process, publish, flush, commit.

1. Take a batch from the topic with the highest priority that has messages.
2. Process it in a separate thread. This thread keeps the process in its consumer groups meanwhile.
3. Publish the results and flush, so that they are durable.
4. Commit the batch. After a crash before this, the batch is processed again.

While a batch is processed, the next one is fetched and decoded from topics with a higher priority and
from topics that no other member reads.

The messages being processed are recorded in a file (`common.work_in_progress`). After a crash each of
them is processed alone; one that crashes the process again becomes a dead letter.

While a dependency fails, the work is retried with growing pauses and nothing is committed. A message that
cannot be used is found by halving the batch, and becomes a dead letter.
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
    "the service crashed three times while it processed this message; find the cause "
    "before you replay it (storyhash dead-letters replay)"
)
# Errors that no retry can fix: the service stops.
_FATAL = (CorruptIndexError, DataFolderError)


class Worker:
    """Runs one handler until it is stopped."""

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
        """in_hand: records the messages being processed (default: nothing). The caller closes it."""
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
        """Work until stopped, or until `idle` returns true while no message waits.

        Raises CorruptIndexError or DataFolderError, which no retry can fix.
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
        """Run `work` on a batch of `source` in a thread, and stay in the consumer groups meanwhile. Its
        result, or its error."""
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
        # No heartbeat here: the work has its own.
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
        """Process, publish, flush. False if abandoned."""
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
        """Process, publish and flush messages with these names. False if abandoned."""
        if self._in_hand.is_set_aside(names[0]):
            messages: list[Message] | None = self._refused(items[0], SetAsideError(_SET_ASIDE))
        else:
            messages = self._process(items)
        if messages is None or not self._published(messages, names):
            return False
        self._in_hand.done(*names)
        return True

    def _published(self, messages: Sequence[Message], names: Sequence[str] = ()) -> bool:
        """Publish the results of messages with these names. False if abandoned."""
        if not messages:
            return True
        return self._retried("broker", partial(self._publish, messages, names)) is not None

    def _process(self, items: Sequence[Item]) -> list[Message] | None:
        """The results of a batch, with a dead letter for each message that cannot be used. None if
        abandoned.

        Each half is retried alone, so a failing dependency does not repeat the other half.
        """
        if not items:
            return []
        try:
            return self._retried("stage", partial(self._attempt, items))
        except _FATAL:
            raise
        except Exception as error:
            if self._given_up.is_set():
                # Its resources may be closed already.
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
        # Not recorded while it waits for a dependency: a kill then is not the message's fault.
        names = [_name(item.received) for item in items]
        with (
            _about(items),
            self._in_hand.holding(names),
            self._metrics.time_stage(self._handler.stage),
            spans_of(self._handler.stage, items) as traced,
        ):
            messages = self._handler.process(traced)
        # Checked here, because an error of `publish` would fail the whole batch at every retry.
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
        # The added headers may make it too large, and no retry would change that.
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
        """The result of `work`, retried while a dependency fails. None if abandoned."""

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
