"""A service that is killed at random moments and started again, always on the same port."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.services import Service


class Killable:
    """`storyhash serve`. Callers wait for `up`, and take a lost answer for an error only if `lives` is
    the same before and after it."""

    def __init__(self, data: Path, log: Path, settings: Mapping[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.up = threading.Event()
        self.lives = 0
        self.seconds_to_ready: list[float] = []
        self.service = Service(
            "serve", ["serve", "--data", data], log, {**settings, "STORYHASH_HTTP__PORT": str(port)}
        )

    def start(self) -> None:
        began = time.monotonic()
        self.service.start().ready()
        self.seconds_to_ready.append(round(time.monotonic() - began, 1))
        self.lives += 1
        self.up.set()

    def kill(self) -> None:
        self.up.clear()
        self.lives += 1
        self.service.kill()
        self.service.gone()

    def kill_for(self, seconds: float, chance: random.Random, pauses: tuple[float, float]) -> None:
        """Kill and start it again and again, for so long, and twice at least."""
        until, before = time.monotonic() + seconds, self.service.kills
        while time.monotonic() < until or self.service.kills < before + 2:
            time.sleep(chance.uniform(*pauses))
            self.kill()
            self.start()

    @property
    def died_by_itself(self) -> bool:
        return self.up.is_set() and not self.service.running
