"""Fair turns: the sender with the fewest running requests is next."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

from starlette.requests import Request

from common.http.connection import network_of
from common.http.request_facts import facts_of


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends requests. name: the id of the key; without a key the network address."""

    name: str = ""
    has_key: bool = False


# The sender of all requests whose senders are not distinguished.
NOBODY = Sender()


def sender_of(request: Request) -> Sender:
    """The sender of a request."""
    key_id = facts_of(request.scope).caller.key_id
    if key_id is not None:
        return Sender(key_id, has_key=True)
    return Sender(network_of(request.client.host) if request.client else "")


class EvictedError(Exception):
    """A waiting request made room for one of a sender that has fewer."""


class FairTurns:
    """A number of turns. Use it from one event loop.

    A free turn goes to the waiting sender with the fewest turns; equal ones have one each in turn. The
    requests of one sender keep their order.
    """

    def __init__(self, turns: int) -> None:
        self._turns = self._free = turns
        # A number of its own, because metrics are read in another thread.
        self._waits = 0
        self._running: Counter[str] = Counter()
        # By sender; the one with the latest turn is last.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def running(self) -> int:
        """Number of turns that are taken."""
        return self._turns - self._free

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a turn."""
        return self._waits

    def ask(self, sender: Sender) -> asyncio.Future[None]:
        """A turn: the future is done when it is there. It ends in EvictedError if the request was
        evicted. Call `release` once the turn is over, or `leave` if it is not wanted any more."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(sender.name, deque()).append(turn)
        self._waits += 1
        self._give()
        return turn

    def release(self, sender: Sender) -> None:
        """A turn of this sender is over."""
        self._free += 1
        self._running[sender.name] -= 1
        if not self._running[sender.name]:
            del self._running[sender.name]
        self._give()

    def leave(self, sender: Sender, turn: asyncio.Future[None]) -> None:
        """The turn is not wanted, whether it has come or not."""
        if turn.cancel():
            self._remove(sender.name, turn)
        elif not turn.cancelled() and turn.exception() is None:
            self.release(sender)

    def can_evict(self, name: str) -> bool:
        """Whether a request of this sender waits."""
        return name in self._waiting

    def evict(self, name: str) -> None:
        """End the wait of the newest waiting request of a sender."""
        turn = self._waiting[name][-1]
        self._remove(name, turn)
        turn.set_exception(EvictedError())

    def _give(self) -> None:
        while self._free and self._waiting:
            name = min(self._waiting, key=lambda one: self._running[one])
            turn = self._waiting[name][0]
            self._remove(name, turn)
            if name in self._waiting:
                self._waiting.move_to_end(name)
            self._free -= 1
            self._running[name] += 1
            turn.set_result(None)

    def _remove(self, name: str, turn: asyncio.Future[None]) -> None:
        self._waiting[name].remove(turn)
        self._waits -= 1
        if not self._waiting[name]:
            del self._waiting[name]
