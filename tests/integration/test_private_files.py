"""Data is for its owner's eyes alone, and settings are shown without the passwords in addresses."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from common.atomic_write import make_private, private_folder
from common.errors import ServiceError
from common.uris import without_passwords
from storyhash.client.calls.service import liveness
from storyhash.client.retries import NO_RETRIES
from storyhash.client.transport import SyncTransport
from tests.support import preloaded
from tests.support.services import clean_environment

ROOT = Path(__file__).parents[2]


def listed(folder: Path, mirror: str) -> list[tuple[int, bool, str]]:
    """Mode, whether it is a folder, and path of all that lies in a data folder while an index is open."""
    # In a process of its own, whatever this one's umask is by now.
    command = ["tests.support.private_index", str(folder), mirror]
    run = preloaded.run(command, env=clean_environment({}), cwd=ROOT)
    assert run.returncode == 0, run.stderr
    found = []
    for line in run.stdout.splitlines():
        mode, is_dir, path = line.split(" ", 2)
        found.append((int(mode, 8), is_dir == "True", path))
    return found


@pytest.mark.parametrize("mirror", ["edge", "local"])
def test_everything_under_a_data_folder_is_its_owners_alone(tmp_path: Path, mirror: str) -> None:
    found = listed(tmp_path / "data", mirror)
    names = {Path(path).name for _, _, path in found}
    expected = {"videos.sqlite", "videos.sqlite-wal", "videos.sqlite-shm", "storyhash.json", "lock"}
    assert names >= expected | {
        "producer.sqlite",
        "producer.lock",
        "snapshots",
        "current-generation",
    }
    assert [path for mode, is_dir, path in found if mode != (0o700 if is_dir else 0o600)] == []


def test_what_an_earlier_release_left_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    listed(folder, "local")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    found = listed(folder, "local")
    assert [path for mode, _, path in found if mode & 0o077] == []


def test_what_is_closed_is_said_once_and_links_lead_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = tmp_path / "film.mp4"
    outside.touch(mode=0o644)
    outside.chmod(0o644)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "open").touch()
    (folder / "open").chmod(0o664)
    make_private([folder / "open", folder / "link", folder / "gone"])
    make_private([folder / "open"])
    assert stat.S_IMODE((folder / "open").stat().st_mode) == 0o600
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert [record.getMessage() for record in caplog.records] == [
        "1 data files and folders were readable by other users; "
        "permissions are now restricted to the owner"
    ]


def test_a_folder_that_is_made_is_private_with_all_above_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        private_folder(tmp_path / "a" / "b")
        (tmp_path / "a" / "b" / "file").touch()
        modes = [
            stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/file")
        ]
    finally:
        os.umask(before)
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://127.0.0.1:6333", "http://127.0.0.1:6333"),
        ("https://user:pa55@qdrant:6333/x", "https://***@qdrant:6333/x"),
        ("https://token@qdrant", "https://***@qdrant"),
        ("http://u:p@ss@host/a@b", "http://***@host/a@b"),
        ("kafka-1:9092,kafka-2:9092", "kafka-1:9092,kafka-2:9092"),
        ("me:pa55@kafka-1:9092, me:pa55@kafka-2:9092", "***@kafka-1:9092, ***@kafka-2:9092"),
        ("http://a:b@x http://c:d@y", "http://***@x http://***@y"),
        ("http://x/?a=1&api_key=pa55&b=2", "http://x/?a=1&api_key=***&b=2"),
        ("http://x/?X-Amz-Signature=pa55", "http://x/?X-Amz-Signature=***"),
        ("/data/films@home/x:y", "/data/films@home/x:y"),
        ("", ""),
    ],
)
def test_a_text_is_shown_without_the_passwords_in_it(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


def config(*options: str) -> str:
    settings = {
        "STORYHASH_QDRANT__URL": "https://me:pa55@qdrant:6333",
        "STORYHASH_QDRANT__API_KEY": "pa55",
        "STORYHASH_SERVICE__EMBEDDER_URLS": '["http://me:pa55@one:8001","http://two:8001?token=pa55"]',
        "STORYHASH_KAFKA__BOOTSTRAP_SERVERS": "me:pa55@kafka:9092",
        "STORYHASH_KAFKA__SASL_PASSWORD": "pa55",
        "STORYHASH_KAFKA__KEY_PASSWORD": "pa55",
    }
    command = ["storyhash", "config", *options]
    run = preloaded.run(command, env=clean_environment(settings), cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_config_shows_no_password_wherever_it_stands(options: tuple[str, ...]) -> None:
    told = config(*options)
    assert "pa55" not in told
    assert "***@qdrant:6333" in told
    if options:
        tree: dict[str, Any] = json.loads(told)
        assert tree["kafka"]["bootstrap_servers"] == "***@kafka:9092"


def test_a_service_that_does_not_answer_is_named_without_its_password() -> None:
    with (
        SyncTransport("http://me:pa55@127.0.0.1:9", retries=NO_RETRIES) as service,
        pytest.raises(ServiceError, match="does not respond") as raised,
    ):
        service.send(liveness())
    assert "pa55" not in str(raised.value)
