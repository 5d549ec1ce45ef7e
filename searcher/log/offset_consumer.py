"""A log consumer that stores its offsets in the index database."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from common.http.health import Health
from common.messaging.transport import LogConsumer, ReceivedMessage
from searcher.storage.staging import Staging


class OffsetConsumer:
    """Wraps a log consumer. The offsets are stored with the data, so an index restored from a
    backup reads again exactly what it lacks.

    The id of the log is stored with them. A topic that was deleted and created again has another
    id: it is read from its beginning, and the index keeps its videos.

    Once everything that was in the log at the start has been indexed, `on_level` is called, and then
    the health condition `log` is met.
    """

    def __init__(
        self,
        consumer: LogConsumer,
        staging: Staging,
        health: Health,
        on_level: Callable[[], None] = lambda: None,
    ) -> None:
        self._consumer = consumer
        self._staging = staging
        self._health = health
        self._on_level = on_level
        self._level = False
        # Messages polled, messages committed, and the number to reach: those in the log at the
        # start.
        self._polled = self._committed = 0
        self._level_after: int | None = None
        # Messages before this one belong to a deleted log.
        self._first_of_log = 0
        self._log_id = consumer.log_id
        staging.follow_log(self._log_id)

    def poll(self, max_messages: int, timeout_seconds: float) -> list[ReceivedMessage]:
        if not self._level and self._level_after is not None:
            self._level = self._committed >= self._level_after
            if self._level:
                # Before the condition is met: who sees that it is may ask at once.
                self._on_level()
                self._health.met("log")
        batch = self._consumer.poll(max_messages, timeout_seconds)
        if self._log_id != self._consumer.log_id:
            self._begin_again()
        self._polled += len(batch)
        if not self._level:
            if self._level_after is None and self._consumer.caught_up():
                self._level_after = self._polled
            self._health.unmet("log", f"catching up: {self.lag()} messages behind")
        return batch

    def keep_alive(self) -> None:
        self._consumer.keep_alive()

    def commit(self, messages: Iterable[ReceivedMessage]) -> None:
        taken = list(messages)
        if self._committed >= self._first_of_log:
            following: dict[int, int] = {}
            for one in taken:
                following[one.partition] = max(following.get(one.partition, 0), one.offset + 1)
            self._staging.set_offsets(following)
        # The tombstones of the batch are in the log by now.
        self._staging.told_to_forget()
        self._committed += len(taken)
        self._consumer.commit(taken)

    def _begin_again(self) -> None:
        """The topic was created again: from now on another log is polled."""
        self._log_id = self._consumer.log_id
        self._staging.follow_log(self._log_id)
        self._first_of_log = self._polled
        self._level, self._level_after = False, None

    def lag(self) -> int:
        return self._consumer.lag()

    def expired(self) -> int:
        return self._consumer.expired()

    def close(self) -> None:
        self._consumer.close()
