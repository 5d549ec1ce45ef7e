"""Where the index lies when nobody says it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.settings import describe_data_dir, load_settings
from storyhash.cli.shared.options import announce_data_folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with nothing, in an empty folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("STORYHASH_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    return here


def test_it_is_the_same_folder_wherever_a_command_is_started(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.data_dir == tmp_path / "user" / "storyhash"
    assert "user data directory" in describe_data_dir(settings)
    os.chdir(tmp_path)
    assert load_settings().data_dir == settings.data_dir


def test_a_folder_of_an_earlier_release_is_used_where_it_lies(elsewhere: Path) -> None:
    (elsewhere / "storyhash-data").mkdir()
    settings = load_settings()
    assert settings.data_dir == Path("storyhash-data")
    assert describe_data_dir(settings).startswith(f"{elsewhere / 'storyhash-data'} (found in")


def test_what_the_caller_names_comes_first_and_is_not_announced(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "storyhash-data").mkdir()
    announce_data_folder(load_settings())
    assert capsys.readouterr().err.startswith(f"data folder: {elsewhere / 'storyhash-data'} (")
    monkeypatch.setenv("STORYHASH_DATA_DIR", "/from-environment")
    for settings in (load_settings(), load_settings(data_dir=Path("/from-option"))):
        assert settings.data_dir.parent == Path("/")
        assert "set by --data or STORYHASH_DATA_DIR" in describe_data_dir(settings)
        announce_data_folder(settings)
    assert capsys.readouterr().err == ""
