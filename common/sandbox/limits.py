"""Limits on the time and memory of a child process, and waits that obey them."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from common.errors import VideoTimeoutError
from common.sandbox.clock import TICK_SECONDS, ChildClock

if TYPE_CHECKING:
    from common.settings import VideoSettings

Check: TypeAlias = Callable[[], None]
"""Called while a child works; raises an error if its result is no longer needed."""


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """Bounds on a child.

    stall_seconds: longest time without a result or a beat during a job. wall_seconds: longest job. For
    both, only time in which the child could work counts. memory_mib: memory it may use beyond that at
    its start. start_seconds: for its start and imports. network: whether it may use the network.
    file_bytes: the largest file it may write; 0 for none. For error messages: name and doing, what the
    child is and does; stall_setting and wall_setting, names of the settings.
    """

    stall_seconds: float
    wall_seconds: float
    memory_mib: int
    start_seconds: float = 120.0
    stall_setting: str = "STORYHASH_VIDEO__STALL_SECONDS"
    wall_setting: str = "STORYHASH_VIDEO__WALL_SECONDS"
    network: bool = False
    file_bytes: int = 0
    name: str = "decoder"
    doing: str = "decoded"

    @classmethod
    def for_video(cls, video: VideoSettings, *, doing: str = "decoded") -> ChildLimits:
        """The bounds of a child that reads videos."""
        return cls(
            video.stall_seconds,
            video.wall_seconds,
            video.memory_mib,
            video.start_seconds,
            doing=doing,
        )


class ChildWait:
    """Waits for a child within its time bounds."""

    def __init__(
        self, pipe: socket.socket, clock: ChildClock, limits: ChildLimits, check: Check
    ) -> None:
        self._pipe = pipe
        self._check = check
        self._clock = clock
        self._limits = limits
        self._silent = self._waited = 0.0
        self.stall = (limits.stall_seconds, f"nothing {limits.doing} for", limits.stall_setting)

    def heard(self) -> None:
        """A complete message arrived."""
        self._silent = 0.0

    def resume(self) -> None:
        """Do not count the time since the last result: the consumer was busy."""
        self._clock.restart()

    def until_readable(self) -> None:
        self._until(select.POLLIN)

    def until_writable(self) -> None:
        self._until(select.POLLOUT)

    def _until(self, event: int) -> None:
        """Raises VideoTimeoutError if it takes too long, and the errors of `check`."""
        poll = select.poll()
        poll.register(self._pipe, event)
        while True:
            self._check()
            ready = poll.poll(TICK_SECONDS * 1000)
            spent = self._clock.lap()
            self._silent += spent
            self._waited += spent
            # If this process ran late, data may have arrived meanwhile.
            if ready or poll.poll(0):
                break
            seconds, message, setting = self.stall
            if self._silent > seconds:
                raise VideoTimeoutError(f"{message} {seconds:.0f} s ({setting})")
        if self._waited > self._limits.wall_seconds:
            raise VideoTimeoutError(
                f"still running after {self._limits.wall_seconds:.0f} s "
                f"({self._limits.wall_setting})"
            )
