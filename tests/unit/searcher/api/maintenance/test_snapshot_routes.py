"""Backups over HTTP: one at a time, for admins, and recorded in the audit log."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from common.errors import StorageError
from common.state.roles import Role
from searcher.backup import backups
from searcher.backup.backups import Backups
from searcher.backup.create import create_backup
from searcher.backup.manifest import damage
from tests.support.keys import key_of
from tests.support.queries import error_of
from tests.support.services import wait_until
from tests.unit.searcher.api.test_key_access import Keyed, keyed

__all__ = ["keyed"]


def items(keyed: Keyed, admin: dict[str, str]) -> list[dict[str, Any]]:
    answer = keyed.ask("GET", "/v1/snapshots", admin)
    document = keyed.document
    schema = document["components"]["schemas"]["SnapshotPage"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())
    return list(answer.json()["items"])


def test_a_backup_runs_beside_the_api_and_is_listed(
    keyed: Keyed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, go_on = key_of(keyed.state, Role.ADMIN), threading.Event()

    def slowly(*given: Any, **named: Any) -> Path:
        go_on.wait(300)
        return create_backup(*given, **named)

    monkeypatch.setattr(backups, "create_backup", slowly)
    answer = keyed.ask("POST", "/v1/snapshots", admin)
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert [one["state"] for one in items(keyed, admin)] == ["running"]
    assert error_of(keyed.ask("POST", "/v1/snapshots", admin)) == (409, "backup_running")
    assert keyed.ask("GET", "/v1/videos", admin).status_code == 200
    go_on.set()
    wait_until(lambda: items(keyed, admin)[0]["state"] == "complete", "the backup", 300, 0.02)
    (made,) = items(keyed, admin)
    assert (made["videos"], made["state_database"]) == (4, "sqlite")
    assert damage(tmp_path / "backups" / made["name"]) == []
    (entry,) = [one for one in keyed.state.audit.page()[0] if one["status"] == 202]
    assert entry["action"] == "snapshots.create"


def test_a_backup_whose_folder_is_complete_is_not_listed_twice(
    keyed: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, written, go_on = key_of(keyed.state, Role.ADMIN), threading.Event(), threading.Event()

    def slowly(*given: Any, **named: Any) -> Path:
        made = create_backup(*given, **named)
        written.set()
        go_on.wait(300)
        return made

    monkeypatch.setattr(backups, "create_backup", slowly)
    keyed.ask("POST", "/v1/snapshots", admin)
    written.wait(300)
    # Older backups may still have to be deleted.
    shown = [one["state"] for one in items(keyed, admin)]
    go_on.set()
    assert shown == ["running"]
    wait_until(lambda: items(keyed, admin)[0]["state"] == "complete", "the backup", 300, 0.02)
    assert len(items(keyed, admin)) == 1


def test_a_failed_backup_is_listed_without_paths(
    keyed: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = key_of(keyed.state, Role.ADMIN)

    def fails(*_: Any, **__: Any) -> Path:
        raise StorageError("/secret/path: the disk is full")

    monkeypatch.setattr(backups, "create_backup", fails)
    keyed.ask("POST", "/v1/snapshots", admin)
    wait_until(lambda: items(keyed, admin)[0]["state"] == "failed", "the failure", 300, 0.02)
    (failed,) = items(keyed, admin)
    assert failed["error"]["code"] == "storage"
    assert "secret" not in str(failed)


def test_a_receipt_tells_when_nothing_of_a_video_is_left(keyed: Keyed) -> None:
    def receipt() -> Any:
        answer = keyed.ask("GET", "/v1/videos/a.mp4/erasure", keyed.all)
        return answer.json()

    held = {one["place"]: one["found"] for one in receipt()["places"]}
    assert held["catalogue"] == 1
    assert held["shard"] == held["mirror"] > 0
    assert keyed.ask("DELETE", "/v1/videos/a.mp4", keyed.all).status_code == 204
    assert receipt()["erased"]
    # It tells of all banks.
    assert keyed.ask("GET", "/v1/videos/a.mp4/erasure", keyed.shows).status_code == 403


def test_without_a_folder_the_answer_names_the_setting() -> None:
    nowhere: Any = None
    with pytest.raises(Exception, match="STORYHASH_SERVICE__BACKUP_DIR"):
        Backups(None, 1, nowhere).create()
