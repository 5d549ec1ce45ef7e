"""A stage behind a transport: what the loop of `common.messaging.worker` asks of it."""

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
