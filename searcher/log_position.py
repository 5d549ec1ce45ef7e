"""A consumer of the log that remembers in the index' own database what it has read."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from common.health import Health
from common.transport import LogConsumer, Received
from searcher.staging import Staging


class LogPosition:
    """Wraps a log consumer. The offsets lie beside the data they led to, so an index that is lost, or
    one brought back from a backup, reads again exactly what it lacks.

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
        self._all_polled = False
        # Messages that were given out and are not committed yet: what they lead to is not there.
        self._in_hand = 0

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Received]:
        if self._all_polled and not self._in_hand and not self._level:
            self._level = True
            self._health.met("log")
            self._on_level()
        batch = self._consumer.poll(max_messages, timeout_seconds)
        self._in_hand += len(batch)
        if not self._level:
            self._all_polled = self._consumer.caught_up()
            self._health.unmet("log", f"catching up: {self.lag()} messages behind")
        return batch

    def keep_alive(self) -> None:
        self._consumer.keep_alive()

    def commit(self, messages: Iterable[Received]) -> None:
        taken = list(messages)
        following: dict[int, int] = {}
        for one in taken:
            following[one.partition] = max(following.get(one.partition, 0), one.offset + 1)
        self._staging.set_offsets(following)
        # What the batch led to is in the log by now.
        self._staging.told_to_forget()
        self._in_hand -= len(taken)
        self._consumer.commit(taken)

    def lag(self) -> int:
        return self._consumer.lag()

    def unreachable(self) -> str:
        return self._consumer.unreachable()

    def close(self) -> None:
        self._consumer.close()
