"""A consumer of the log that remembers in the index' own database what it has read."""

from __future__ import annotations

from collections.abc import Iterable

from common.health import Health
from common.transport import Consumer, Received
from searcher.staging import Staging

# The log has been caught up with once so few messages are left that they are those just arriving.
_LEVEL_MESSAGES = 100


class LogPosition:
    """Wraps a log consumer. The offsets lie beside the data they led to, so an index that is lost, or
    one brought back from a backup, reads again exactly what it lacks.

    The condition `log` of `health` is met once the log has been caught up with.
    """

    def __init__(self, consumer: Consumer, staging: Staging, health: Health) -> None:
        self._consumer = consumer
        self._staging = staging
        self._health = health
        self._level = False

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Received]:
        batch = self._consumer.poll(max_messages, timeout_seconds)
        if not self._level:
            lag = self._consumer.lag()
            self._level = not batch and lag < _LEVEL_MESSAGES
            if self._level:
                self._health.met("log")
            else:
                self._health.unmet("log", f"catching up: {lag} messages behind")
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
        self._consumer.commit(taken)

    def lag(self) -> int:
        return self._consumer.lag()

    def unreachable(self) -> str:
        return self._consumer.unreachable()

    def close(self) -> None:
        self._consumer.close()
