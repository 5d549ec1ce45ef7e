"""A consumer of the log that remembers in the index' own database what it has read."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from common.http.health import Health
from common.messaging.transport import LogConsumer, Received
from searcher.storage.staging import Staging


class LogPosition:
    """Wraps a log consumer. The offsets lie beside the data they led to, so an index that is lost, or
    one brought back from a backup, reads again exactly what it lacks.

    Beside the offsets lies the id of their log. A topic that was deleted and created again has another
    one: it is read from its beginning, and what the index holds stays.

    The condition `log` of `health` is met once all has been taken in that lay in the log when reading
    began; `on_level` is called then.
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
        # Messages given out, messages committed, and how many are to be: all that lay there at first.
        self._polled = self._committed = 0
        self._level_after: int | None = None
        # Messages before this one are of a log that is no more.
        self._first_of_log = 0
        self._log_id = consumer.log_id
        staging.follow_log(self._log_id)

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Received]:
        if not self._level and self._level_after is not None:
            self._level = self._committed >= self._level_after
            if self._level:
                self._health.met("log")
                self._on_level()
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

    def commit(self, messages: Iterable[Received]) -> None:
        taken = list(messages)
        if self._committed >= self._first_of_log:
            following: dict[int, int] = {}
            for one in taken:
                following[one.partition] = max(following.get(one.partition, 0), one.offset + 1)
            self._staging.set_offsets(following)
        # What the batch led to is in the log by now.
        self._staging.told_to_forget()
        self._committed += len(taken)
        self._consumer.commit(taken)

    def _begin_again(self) -> None:
        """The topic was created again: what is polled from now on lies in another log."""
        self._log_id = self._consumer.log_id
        self._staging.follow_log(self._log_id)
        self._first_of_log = self._polled
        self._level, self._level_after = False, None

    def lag(self) -> int:
        return self._consumer.lag()

    def expired(self) -> int:
        return self._consumer.expired()

    def unreachable(self) -> str:
        return self._consumer.unreachable()

    def close(self) -> None:
        self._consumer.close()
