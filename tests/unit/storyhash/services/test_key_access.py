"""The first key is shown on the terminal, once, and never in the log."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from common.errors import StateError
from common.http.access import Access
from common.settings import HttpSettings, Settings
from common.state.roles import Role
from common.state.state import State
from storyhash.services.key_access import new_access, opened_access, show_first_key
from tests.faults.disks import Disk, can_mount
from tests.support.keys import key_of


class Terminal(io.StringIO):
    """Keeps what was written to it when it is closed."""

    shown = ""

    def close(self) -> None:
        self.shown = self.shown or self.getvalue()
        super().close()


def test_the_first_key_is_for_an_admin_and_shown_once(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    first, second = Terminal(), Terminal()
    show_first_key(state.keys, lambda: first)
    show_first_key(state.keys, lambda: second)
    (token,) = [word for word in first.shown.split() if word.startswith("sh_")]
    key = state.keys.verify(token)
    assert key is not None
    assert (key.role, key.banks) == (Role.ADMIN, None)
    assert second.shown == ""
    assert token not in caplog.text


def test_a_service_refuses_a_database_that_can_only_be_read(tmp_path: Path) -> None:
    if not can_mount(tmp_path / "probe"):
        pytest.skip("disks are mounted by root alone")
    with Disk(tmp_path / "disk", 4) as disk:
        settings = Settings(data_dir=disk.folder)
        State(settings).close()
        disk.writable(False)
        with (
            pytest.raises(StateError, match=r"readonly database; .* the permissions"),
            opened_access(new_access(settings.http), settings),
        ):
            pass


def test_without_a_terminal_no_key_is_made_and_the_log_says_how(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    show_first_key(state.keys, lambda: None)
    assert not state.keys.exists()
    assert "`storyhash keys create NAME --role admin`" in caplog.text


def test_where_there_is_a_key_nothing_is_said(
    state: State, caplog: pytest.LogCaptureFixture
) -> None:
    key_of(state, Role.READER)
    show_first_key(state.keys, lambda: pytest.fail("no terminal is needed"))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("host", "required"),
    [
        ("127.0.0.1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("192.0.2.1", True),
        ("no host", True),
    ],
)
def test_what_other_machines_reach_requires_a_key(host: str, required: bool) -> None:
    assert new_access(HttpSettings(host=host)).always_required is required


def test_a_service_of_this_machine_makes_no_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    access: Access = new_access(HttpSettings())
    with opened_access(access, Settings(data_dir=tmp_path / "data")) as state:
        assert not state.keys.exists()
        assert access.state is state
    assert caplog.text == ""
