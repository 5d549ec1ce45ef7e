"""Lets one of the processes of pytest-xdist collect first, so that what it keeps serves the others.

In a fresh clone pytest rewrites the assertions of hundreds of files, and Hypothesis reads all modules for
constants. Both keep the result in files. Processes that collect at the same time would each do all of it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_alone() -> Iterator[None]:
    """The first process that comes has the block for itself; then the others have it together."""
    with open(__file__, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(file, fcntl.LOCK_SH)
        yield
