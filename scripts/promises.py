"""Promises of a deployment, printed as kept or BROKEN."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.services import wait_until


class Proof:
    """Promises, printed as they are checked. kept: how many were."""

    def __init__(self, seconds: float = 300.0) -> None:
        """seconds: how long `comes` waits."""
        self._seconds = seconds
        self.kept = 0
        self.broken: list[str] = []

    def check(self, promise: str, kept: bool, seen: object = "") -> None:
        """Print whether a promise is kept, with what was seen."""
        print(
            f"{'kept' if kept else 'BROKEN':8}{promise}{f': {seen}' if seen != '' else ''}",
            flush=True,
        )
        if kept:
            self.kept += 1
        else:
            self.broken.append(promise)

    def comes(self, promise: str, true: Callable[[], bool]) -> None:
        """Check that something becomes true."""
        try:
            seconds = wait_until(true, promise, self._seconds)
            self.check(promise, True, f"after {seconds:.1f} s")
        except TimeoutError as error:
            self.check(promise, False, error)
