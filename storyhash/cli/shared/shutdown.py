"""Graceful shutdown: SIGTERM and Ctrl-C tell a service to finish its present work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from storyhash.cli.shared.console import check_interrupt


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """An event that is set at the first signal. A second Ctrl-C ends the process at once. Raises
    KeyboardInterrupt if a signal came before, during the imports, and its exception was dropped."""
    stopping = threading.Event()

    def ask(number: int, _frame: object) -> None:
        if stopping.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopping.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        check_interrupt()
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
