"""Services killed, and started again as a supervisor would: at random, or exactly at a point."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.services import Deployment, Service

# About how long a service starts.
_STARTS_SECONDS = 2.5
# A service comes to its point, from its start, within this time, or it does not come to it.
_DIES_SECONDS = 60.0

# What tells that a service has worked since it was started, by its stage.
_WORKED = "storyhash_segments_total"


class Killer(threading.Thread):
    """Kills the services of one kind in turn, each time at a random point: while it starts, or a random
    while after it has begun to work. Then starts it again.

    kills: how often in all. `done` counts them; one that had ended by itself is not counted.
    at_most_seconds: how long one may work in peace.
    """

    def __init__(
        self,
        stage: str,
        services: Sequence[Service],
        kills: int,
        at_most_seconds: float,
        chance: random.Random,
    ) -> None:
        super().__init__(name=f"kill-{stage}", daemon=True)
        self.stage = stage
        self.done = 0
        self.at_work = 0
        self.enough = threading.Event()
        self._services = services
        self._kills = kills
        self._at_most_seconds = at_most_seconds
        self._chance = chance

    def run(self) -> None:
        turn = 0
        while self.done < self._kills and not self.enough.is_set():
            service = self._services[turn % len(self._services)]
            turn += 1
            # Every third time while it starts: between its first line and its first batch.
            working = turn % 3 != 0
            if working and not self._waited_for_work(service):
                break
            longest = self._at_most_seconds if working else _STARTS_SECONDS
            self.enough.wait(self._chance.uniform(0.0, longest))
            if self.enough.is_set() or not service.running:
                # It is done: a kill now would prove nothing.
                break
            service.kill()
            self.done += 1
            self.at_work += working
            service.start()

    def _waited_for_work(self, service: Service) -> bool:
        while service.running and not self.enough.is_set():
            if service.metric(_WORKED, stage=self.stage, outcome="done") > 0:
                return True
            time.sleep(0.05)
        return False


class Chain(threading.Thread):
    """A service that dies at one point of `tests.faults.die_at_point` after another, each the N-th time
    it gets there, and then goes on for good. `lived`: where it did not die as it should."""

    def __init__(
        self,
        deployment: Deployment,
        name: str,
        arguments: Sequence[str | Path],
        points: Sequence[tuple[str, int]],
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.died: list[str] = []
        self.lived: list[str] = []
        self._deployment = deployment
        self._arguments = arguments
        self._points = points

    def run(self) -> None:
        for point, count in self._points:
            service = cut(self._deployment, self.name, self._arguments, point, count)
            (self.died if dies(service) else self.lived).append(f"{self.name} at {point} ({count})")
        self._deployment.service(self.name, *self._arguments)


def cut(
    deployment: Deployment, name: str, arguments: Sequence[str | Path], point: str, count: int
) -> Service:
    """A service that will die there; started again with `start` it is the usual one."""
    return deployment.service(
        name, *arguments, module=("tests.faults.die_at_point", point, str(count))
    )


def dies(service: Service) -> bool:
    """Whether it is killed within a while; if not it is ended."""
    try:
        return service.wait(_DIES_SECONDS) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        service.kill()
        return False
