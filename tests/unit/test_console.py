"""How a command ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from common.errors import StorageError, UsageError, VideoError
from storyhash.cli import console
from storyhash.cli.console import check_interrupt, run_guarded


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)
    console._interrupted.clear()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (VideoError("bad"), 1),
        (UsageError("wrong"), 2),
        (StorageError("full"), 3),
        (OSError(28, "No space left on device"), 3),
        (OSError(13, "Permission denied"), 1),
        (ZeroDivisionError("bug"), 1),
        (KeyboardInterrupt(), 130),
        (SystemExit(7), 7),
    ],
)
def test_every_error_has_its_exit_code(error: BaseException, code: int) -> None:
    def fail() -> None:
        raise error

    assert run_guarded(fail, debug=False) == code


def test_an_interrupt_that_was_swallowed_is_raised_at_the_next_look() -> None:
    def command() -> None:
        # What a finaliser does to an exception.
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        check_interrupt()

    assert run_guarded(command, debug=False) == 130
