"""The one loop every service runs: poll, process, publish, flush, commit.

1. A batch is taken from the first lane that has one: a live lane comes before a backfill.
2. It is processed in a thread of its own, while this one keeps every lane's membership alive and takes
   nothing: a slow stage holds back consumption, not the group.
3. What came of it is published and flushed, so that it is durable;
4. then the batch is committed. A crash anywhere before does the batch again.

While a batch is in work the next one is taken, and made out, from a lane that goes before its own and
from one that nobody shares.

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
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Protocol, TypeVar

from common.errors import (
    CorruptIndexError,
    DataFolderError,
    DependencyError,
    MessageTooLargeError,
    SetAsideError,
    WireError,
)
from common.http.health import Health
from common.messaging.dead_letters import (
    dead_letter,
    reason_of,
    traceback_hash,
    without_original,
    without_value,
)
from common.messaging.transport import Consumer, Message, Publisher, ReceivedMessage
from common.messaging.wire import Envelope, from_message
from common.metrics import Metrics
from common.retry import dependency_backoff
from common.settings import ServiceSettings
from common.work_in_progress import WorkInProgress, alone

Result = TypeVar("Result")

_log = logging.getLogger("storyhash.worker")
_IDLE_SECONDS = 0.2
_LANE_SECONDS = 0.02
_KEEP_ALIVE_SECONDS = 0.25
_SET_ASIDE = (
    "the service crashed twice while it processed this message alone; find the cause "
    "before you replay it (storyhash dead-letters replay)"
)
# What no other message or moment would mend, so that the service must stop and say it.
_FATAL = (CorruptIndexError, DataFolderError)


@dataclass(frozen=True, slots=True)
class Item:
    """A message with its event."""

    envelope: Envelope
    received: ReceivedMessage


class Handler(Protocol):
    """A stage behind a transport. `stage` names it in metrics and dead letters."""

    stage: str

    @property
    def batch_messages(self) -> int:
        """Most messages it wants at once."""
        ...

    def process(self, items: Sequence[Item]) -> list[Message]:
        """Do the work of a batch, of at least one; what it leads to is published. Doing it twice does no
        harm.

        Raises DependencyError when it should be tried again later; anything else when a message in it
        cannot be used. So does a message made that no broker would take.
        """
        ...

    def refused(self, item: Item, error: Exception) -> list[Message]:
        """What to publish in place of a message that went to the dead letters."""
        ...

    def unreadable(self, received: ReceivedMessage, error: WireError) -> list[Message]:
        """The same for one that is no message of ours, as far as its key tells what it was."""
        ...


@dataclass(frozen=True, slots=True)
class PriorityConsumer:
    """A consumer and the topic its lag is told under; the first lane of several goes first.

    ahead: a batch may be taken before the one before it is committed, because no other member can be
    given its partitions meanwhile.
    """

    topic: str
    consumer: Consumer
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class _Batch:
    """What was taken from a lane: `items`, and what is no message of ours, with what is wrong with it."""

    source: PriorityConsumer
    received: list[ReceivedMessage]
    items: list[Item]
    unreadable: list[tuple[ReceivedMessage, WireError]]


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
        self._sources = sources
        self._publisher = publisher
        self._dead_letter_topic = dead_letter_topic
        self._health = health
        self._metrics = metrics
        self._settings = settings
        self._in_hand = in_hand or WorkInProgress()
        self._last_has_work = False
        self._ahead: _Batch | None = None
        self._stopping = threading.Event()
        self._given_up = threading.Event()

    def stop(self) -> None:
        """Finish the batch in work, for `service.stop_seconds` at most, then return from `run`. One that
        waits for a dependency is given back at once."""
        self._stopping.set()

    def run(self, *, idle: Callable[[], bool] = lambda: False) -> None:
        """Work until stopped, or until `idle`, asked when nothing is there to do, says so.

        Raises what no retry mends: CorruptIndexError and its kin.
        """
        while not self._stopping.is_set():
            self._health.beat()
            batch = self._ahead or self._retried("topics", self._next, self._stay)
            self._ahead = None
            if batch is None:
                return
            self._observe()
            if not batch.received:
                if idle():
                    return
                continue
            if self._alongside(partial(self._work, batch), batch.source):
                commit = partial(batch.source.consumer.commit, batch.received)
                self._retried("broker", commit, self._stay)

    def close(self) -> None:
        """Leave every group, so that others take over."""
        for source in self._sources:
            source.consumer.close()

    def _next(self) -> _Batch:
        """The next batch; an empty one after a short wait."""
        *urgent, last = self._sources
        # An urgent lane is waited for, and only looked at while the last one has work.
        wait = _LANE_SECONDS if self._last_has_work else _IDLE_SECONDS
        for source in urgent:
            batch = source.consumer.poll(self._handler.batch_messages, wait)
            if batch:
                self._stay(but=source)
                return _made_out(source, batch)
        wait = _LANE_SECONDS if urgent else _IDLE_SECONDS
        batch = last.consumer.poll(self._handler.batch_messages, wait)
        self._last_has_work = bool(batch)
        return _made_out(last, batch)

    def _take_ahead(self, source: PriorityConsumer) -> None:
        """Take the next batch while one of `source` is in work: what has come on a lane that goes before
        it, for which there may be no time between two batches when the log is far away, or else a full
        one of a lane that may be read ahead."""
        size = self._handler.batch_messages
        before = self._sources[: self._sources.index(source)]
        full = [source] if source.ahead and source.consumer.lag() >= size else []
        for other in (*before, *full):
            if self._ahead is not None or self._stopping.is_set():
                return
            # What fails is told when the batch is asked for in its turn.
            with suppress(DependencyError):
                received = other.consumer.poll(size, _LANE_SECONDS)
                self._ahead = _made_out(other, received) if received else None

    def _stay(self, *, but: PriorityConsumer | None = None) -> None:
        """Keep the lanes alive. Raises nothing: a batch in hand would be lost."""
        for source in self._sources:
            if source is but:
                continue
            try:
                source.consumer.keep_alive()
            except DependencyError as error:
                self._health.unmet("broker", str(error))

    def _observe(self) -> None:
        reason = ""
        for source in self._sources:
            lag = self._metrics.consumer_lag_messages.labels(self._handler.stage, source.topic)
            lag.set(source.consumer.lag())
            # 0 as well, so that an alert sees it grow.
            expired = self._metrics.expired_messages_total.labels(source.topic)
            expired.inc(source.consumer.expired())
            reason = reason or source.consumer.unreachable()
        if reason:
            self._health.unmet("broker", reason)
        else:
            self._health.met("broker")

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
        self._take_ahead(source)
        deadline: float | None = None
        # No beat here: it is the work that must get on, and it beats itself.
        while not done.wait(_KEEP_ALIVE_SECONDS):
            self._stay()
            self._take_ahead(source)
            if self._stopping.is_set():
                deadline = deadline or time.monotonic() + self._settings.stop_seconds
                if time.monotonic() > deadline:
                    _log.warning("returning a batch that cannot be finished before shutdown")
                    self._given_up.set()
                    return False
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _work(self, batch: _Batch) -> bool:
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
            made: list[Message] | None = self._refused(items[0], SetAsideError(_SET_ASIDE))
        else:
            made = self._process(items)
        if made is None or not self._published(made, names):
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
        letter = self._letter(item.received, error)
        return [*self._handler.refused(item, error), letter]

    def _attempt(self, items: Sequence[Item]) -> list[Message]:
        # In hand only while something is done with it: who waits for a dependency is often killed.
        names = [_name(item.received) for item in items]
        with self._in_hand.holding(names), self._metrics.time_stage(self._handler.stage):
            made = self._handler.process(items)
        # Found here it is the fault of one message; when it is published, of the whole batch, for ever.
        for message in made:
            self._publisher.check(message)
        return made

    def _letter(self, received: ReceivedMessage, error: Exception) -> Message:
        stage, reason = self._handler.stage, reason_of(error)
        self._metrics.dead_letters_total.labels(stage, reason).inc()
        where = f"{received.topic}/{received.partition}/{received.offset}"
        # The traceback of what nobody foresaw is worth its lines; a damaged clip's is not.
        _log.warning(
            "dead letter %s: %s (%s, %s)",
            where,
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


def _name(received: ReceivedMessage) -> str:
    """A message's place, and its key, as a log made anew has other messages in the same place."""
    key = blake2b(received.key, digest_size=8).hexdigest()
    return f"{received.topic}/{received.partition}/{received.offset} {key}"


def _made_out(source: PriorityConsumer, received: list[ReceivedMessage]) -> _Batch:
    batch = _Batch(source, received, [], [])
    for one in received:
        if one.value is None:
            continue
        try:
            batch.items.append(Item(from_message(one), one))
        except WireError as error:
            batch.unreadable.append((one, error))
    return batch
