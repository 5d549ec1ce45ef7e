"""Promises of a deployment, printed as kept or BROKEN."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.services import wait_until


class Proof:
    """Promises, printed as they are checked."""

    def __init__(self) -> None:
        self.broken: list[str] = []

    def check(self, promise: str, kept: bool, seen: object = "") -> None:
        """Print whether a promise is kept, with what was seen."""
        print(
            f"{'kept' if kept else 'BROKEN':8}{promise}{f': {seen}' if seen != '' else ''}",
            flush=True,
        )
        if not kept:
            self.broken.append(promise)

    def comes(self, promise: str, true: Callable[[], bool], seconds: float = 300.0) -> None:
        """Check that something becomes true."""
        try:
            self.check(promise, True, f"after {wait_until(true, promise, seconds):.1f} s")
        except TimeoutError as error:
            self.check(promise, False, error)
