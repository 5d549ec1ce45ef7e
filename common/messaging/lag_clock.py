"""Consumer lag in time: how old the messages are that a consumer reads now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from common.messaging.transport import ReceivedMessage


class LagClock:
    """The age of the oldest message of the last batch, while more messages wait; otherwise 0.

    It grows while a consumer is stuck. The clocks of this machine and of the broker should agree. Written
    by one thread, read by any.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._written: float | None = None
        self._waiting = False

    def took(self, received: Sequence[ReceivedMessage]) -> None:
        """A batch was taken."""
        moments = [message.appended_ms for message in received if message.appended_ms is not None]
        if moments:
            self._written = min(moments) / 1000

    def lag(self, messages: int) -> None:
        """Number of messages that wait."""
        self._waiting = messages > 0

    def seconds(self) -> float:
        """The lag in seconds."""
        if not self._waiting or self._written is None:
            return 0.0
        return max(0.0, self._now() - self._written)
