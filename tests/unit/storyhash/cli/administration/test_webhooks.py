"""`storyhash webhooks`, over a data folder that no service has."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from tests.unit.storyhash.cli.administration.test_keys import run


def test_a_webhook_is_created_listed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORYHASH_WEBHOOKS__PRIVATE_HOSTS", '["localhost"]')
    data = tmp_path / "data"
    only = ("--event", "match.found", "--bank", "news", "--description", "mine")
    made = run("webhooks", "create", "http://localhost/hook", *only, "--data", data)
    assert made.pop("secret").startswith("whsec_")
    assert run("webhooks", "list", "--data", data)["items"] == [made]
    assert (made["events"], made["banks"]) == (["match.found"], ["news"])
    assert run("webhooks", "remove", made["id"], "--data", data) == {"removed": made["id"]}
    with pytest.raises(UsageError, match="no webhook"):
        run("webhooks", "remove", made["id"], "--data", data)
    told = run("audit", "list", "--data", data)["items"]
    assert [one["action"] for one in told] == ["webhooks.delete", "webhooks.create"]


def test_an_address_inside_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="PRIVATE_HOSTS"):
        run("webhooks", "create", "http://localhost/hook", "--data", tmp_path / "data")
    assert not (tmp_path / "data").exists()
