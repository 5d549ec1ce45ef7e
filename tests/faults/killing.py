"""Services killed at random points of their work, and started again as a supervisor would."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

from tests.services import Service

# What tells that a service has worked since it was started, by its stage.
_WORKED = "storyhash_segments_total"


class Killer(threading.Thread):
    """Kills the services of one kind in turn, each time at a random point: while it starts, or a random
    while after it has begun to work. Then starts it again.

    kills: how often in all. `done` counts them; one that had ended by itself is not counted.
    """

    def __init__(
        self, stage: str, services: Sequence[Service], kills: int, chance: random.Random
    ) -> None:
        super().__init__(name=f"kill-{stage}", daemon=True)
        self.stage = stage
        self.done = 0
        self.at_work = 0
        self.enough = threading.Event()
        self._services = services
        self._kills = kills
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
            time.sleep(self._chance.uniform(0.0, 1.5 if working else 2.5))
            if not service.running:
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
