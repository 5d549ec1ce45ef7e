"""API keys in a state database for a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.http.access import Access
from common.settings import HttpSettings, Settings
from common.state.keys import NewKey
from common.state.roles import Role
from common.state.state import State
from tests.support.clock import Clock


@contextmanager
def opened_state(folder: Path) -> Iterator[State]:
    with State(Settings(data_dir=folder)) as state:
        yield state


def access_over(state: State, settings: HttpSettings, clock: Clock | None = None) -> Access:
    """The access control of a service that only this machine can reach."""
    access = Access(settings, beyond_loopback=False, clock=clock or Clock())
    access.open(state)
    return access


def key_of(
    state: State, role: Role, banks: list[str] | None = None, rate: int | None = None
) -> dict[str, str]:
    """Create a key. Returns the request headers with it."""
    _, token = state.keys.create(NewKey(role.value, role, banks, None, rate))
    return {"Authorization": f"Bearer {token}"}
