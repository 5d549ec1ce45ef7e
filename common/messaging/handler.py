"""The interface of a stage: what the loop in `common.messaging.worker` calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from common.errors import WireError
from common.messaging.transport import Message, ReceivedMessage
from common.messaging.wire import Envelope


@dataclass(frozen=True, slots=True)
class Item:
    """A message with its event."""

    envelope: Envelope
    received: ReceivedMessage


class Handler(Protocol):
    """A stage. `stage` names it in metrics and dead letters."""

    stage: str

    @property
    def batch_messages(self) -> int:
        """Maximum number of messages per batch."""
        ...

    def process(self, items: Sequence[Item]) -> list[Message]:
        """Process a batch of at least one message and return the messages to publish. Idempotent.

        Raises DependencyError if it should be retried later, and any other error if a message of the
        batch, or one that it returned, cannot be used.
        """
        ...

    def refused(self, item: Item, error: Exception) -> list[Message]:
        """What to publish in place of a message that became a dead letter."""
        ...

    def unreadable(self, received: ReceivedMessage, error: WireError) -> list[Message]:
        """The same for a message that cannot be read, from what its key says."""
        ...
