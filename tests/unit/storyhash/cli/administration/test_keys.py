"""`storyhash keys` and `storyhash audit`, over a data folder that no service has."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from common.errors import DataFolderError, UsageError
from common.settings import Settings
from common.state.roles import Role
from common.state.state import State
from storyhash.cli import app
from storyhash.cli.administration.durations import seconds_of


def run(*arguments: str | Path) -> Any:
    """What a command prints as JSON; an error of ours is raised."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def create(data: Path, *arguments: str) -> Any:
    return run("keys", "create", *arguments, "--data", data)


def test_a_key_is_created_shown_once_listed_and_revoked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = create(
        data, "ci", "--role", "writer", "--bank", "news", "--bank", "tv", "--expires", "30d"
    )
    assert made["banks"] == ["news", "tv"]
    assert stat.S_IMODE((data / "state.sqlite").stat().st_mode) == 0o600
    with State(Settings(data_dir=data)) as state:
        key = state.keys.verify(made["key"])
    assert key is not None
    assert (key.role, key.requests_per_minute) == (Role.WRITER, None)
    assert key.expires_at == key.created_at + 30 * 86_400_000

    (listed,) = run("keys", "list", "--data", data)["items"]
    assert (listed["id"], listed["name"]) == (made["id"], "ci")
    assert made["key"] not in json.dumps(listed)

    assert run("keys", "revoke", made["id"], "--data", data) == {"revoked": made["id"]}
    with State(Settings(data_dir=data)) as state:
        assert state.keys.verify(made["key"]) is None
    told = run("audit", "list", "--data", data)["items"]
    assert [(item["action"], item["object"]) for item in told] == [
        ("keys.revoke", made["id"]),
        ("keys.create", made["id"]),
    ]


@pytest.mark.parametrize(
    "command",
    [
        ("keys", "list"),
        ("keys", "limit", "1", "--rate", "9"),
        ("keys", "revoke", "1"),
        ("webhooks", "list"),
        ("webhooks", "remove", "1"),
        ("audit", "list"),
    ],
)
def test_a_mistyped_data_folder_is_told_and_not_made(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    data = tmp_path / "typo"
    with pytest.raises(DataFolderError, match="has no index and no keys"):
        run(*command, "--data", data)
    assert not data.exists()


def test_without_json_the_key_alone_is_on_standard_output(tmp_path: Path) -> None:
    arguments = ["keys", "create", "ci", "--role", "reader", "--data", str(tmp_path / "data")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    (token,) = result.stdout.split()
    assert token.startswith("sh_")
    assert "it is not shown again" in result.stderr


@pytest.mark.parametrize("expires", ["30", "0d", "d", "-1d", "1y", "1 d", "999999d"])
def test_a_lifetime_that_is_none_is_refused(tmp_path: Path, expires: str) -> None:
    with pytest.raises(UsageError, match="--expires: expected a number with m, h, d or w"):
        create(tmp_path, "ci", "--role", "reader", f"--expires={expires}")


def test_lifetimes_have_units() -> None:
    assert [seconds_of(text, "") for text in ("2m", "2h", "2d", "2w")] == [
        120,
        7200,
        172800,
        1209600,
    ]


def test_a_key_that_is_not_there_cannot_be_revoked(tmp_path: Path) -> None:
    create(tmp_path / "data", "ci", "--role", "reader")
    with pytest.raises(UsageError, match="there is no key 'abc'; `storyhash keys list` shows them"):
        run("keys", "revoke", "abc", "--data", tmp_path / "data")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataFolderError, match="is not empty and not a StoryHash data folder"):
        create(tmp_path, "ci", "--role", "admin")
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_limits_are_set_and_changed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = create(data, "ci", "--role", "reader", "--queries-per-day", "5")
    of_data = ("--data", data)
    changed = run("keys", "limit", made["id"], "--upload-bytes-per-day", "9", *of_data)
    assert (made["queries_per_day"], made["upload_bytes_per_day"]) == (5, None)
    assert (changed["queries_per_day"], changed["upload_bytes_per_day"]) == (5, 9)
    listed = CliRunner().invoke(app, ["keys", "list", "--data", str(data)])
    assert "0 of 5 queries today" in listed.stdout
    with pytest.raises(UsageError, match="there is no key 'abc'"):
        run("keys", "limit", "abc", "--rate", "1", *of_data)
    with pytest.raises(UsageError, match="give --rate, --queries-per-day"):
        run("keys", "limit", made["id"], *of_data)
