"""Background work in tests has the priority of everything else.

A thread of low priority works only when nothing else does. While several test processes keep all cores
busy, a test that waits for such a thread would wait for minutes.
"""

from __future__ import annotations

import os

from common import runtime_tuning


def install() -> None:
    """From now on no thread of this process and its forks lowers its priority."""
    runtime_tuning._NICE = runtime_tuning._NICE_APART = os.nice(0)  # noqa: SLF001
