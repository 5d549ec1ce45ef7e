"""One broker for all processes of a test run: the first that asks starts it, the last one ends it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.kafka_broker.broker import KafkaBroker

# A process that started the broker may leave before others; the broker stays its child until it ends.
_started: list[KafkaBroker] = []


@dataclass
class _Use:
    """What the processes write down for each other. users: process ids."""

    servers: str = ""
    broker: int = 0
    users: list[int] = field(default_factory=list)


@contextlib.contextmanager
def shared_broker(folder: Path) -> Iterator[str]:
    """The bootstrap servers of the broker that keeps its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with _noted(folder) as use:
        use.users = [*filter(_runs, use.users), os.getpid()]
        if not (use.broker and _runs(use.broker)):
            broker = KafkaBroker(folder / "broker").start()
            _started.append(broker)
            use.servers, use.broker = broker.bootstrap_servers, broker.pid
        servers = use.servers
    try:
        yield servers
    finally:
        with _noted(folder) as use:
            use.users = [pid for pid in use.users if pid != os.getpid() and _runs(pid)]
            if not use.users:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(use.broker, signal.SIGKILL)
                use.broker = 0


@contextlib.contextmanager
def _noted(folder: Path) -> Iterator[_Use]:
    """The notes, for this process alone until it has changed them."""
    notes = folder / "use.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        use = _Use(**json.loads(notes.read_text())) if notes.exists() else _Use()
        yield use
        notes.write_text(json.dumps(asdict(use)))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
