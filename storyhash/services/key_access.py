"""The keys of a running service: opened with it, and the first one shown on the terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from common.http.access import Access
from common.http.guard import is_loopback
from common.settings import HttpSettings, Settings
from common.state.keys import KeyStore
from common.state.state import State
from storyhash.open_state import open_state

_log = logging.getLogger("storyhash.http")
_TERMINAL = "/dev/tty"


def new_access(settings: HttpSettings, *, once_a_key_exists: bool = True) -> Access:
    """Who may call the service of these settings. once_a_key_exists: see Access."""
    try:
        beyond = not is_loopback(settings.host)
    except OSError:
        # The server says what is wrong with the address.
        beyond = True
    return Access(settings, beyond_loopback=beyond, once_a_key_exists=once_a_key_exists)


@contextmanager
def opened_access(access: Access, settings: Settings) -> Iterator[State]:
    """Verify keys for as long as the block lasts. Raises what `open_state` raises, also for a database
    that can only be read: a service changes it with nearly every request."""
    with open_state(settings) as state:
        state.database.check_writable()
        if access.always_required:
            show_first_key(state.keys)
        access.open(state)
        yield state


def show_first_key(
    keys: KeyStore, open_terminal: Callable[[], TextIO | None] | None = None
) -> None:
    """Where there is no key at all, make one for an admin and write it to the terminal: never to the log,
    which others may read. Without a terminal none is made, and the log says how to make one."""
    if keys.exists():
        return
    terminal = (open_terminal or _open_terminal)()
    if terminal is None:
        _log.warning(
            "an API key is required, and there is none yet; create one with "
            "`storyhash keys create NAME --role admin`"
        )
        return
    with terminal:
        token = keys.create_first()
        if token is not None:
            terminal.write(
                "There was no API key yet, so an admin key was created. It is shown only now:\n"
                f"  {token}\n"
            )


def _open_terminal() -> TextIO | None:
    """The terminal that the command was started from, whatever its output was redirected to."""
    if sys.stderr.isatty():
        return os.fdopen(os.dup(sys.stderr.fileno()), "w")
    try:
        return open(_TERMINAL, "w")
    except OSError:
        return None
