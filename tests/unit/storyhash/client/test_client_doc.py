"""The examples of docs/client.md run against the API in process."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

import searcher.api.webhooks.routes
import storyhash.client.client
from common.settings import HttpSettings
from common.state.roles import Role
from common.webhook_signature import signature
from storyhash.client.client import AsyncClient, Client
from tests.support.http_server import running
from tests.support.keys import key_of, opened_state
from tests.unit.searcher.api.test_key_access import ALWAYS, JobsDone, Keyed
from tests.unit.storyhash.client.test_client import InProcess
from tests.unit.storyhash.client.test_webhooks import BODY, SECRET, headers

TEXT = (Path(__file__).parents[4] / "docs" / "client.md").read_text(encoding="utf-8")


def sent_now() -> dict[str, str]:
    """The headers of EVENT as a service sends it now."""
    now = int(time.time())
    return headers(
        **{
            "Webhook-Timestamp": str(now),
            "Webhook-Signature": signature(SECRET, "evt_1", now, BODY),
        }
    )


def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(examples) == 8
    film = tmp_path / "films" / "a.mp4"
    film.parent.mkdir()
    film.write_bytes(b"film")
    (tmp_path / "upload.mp4").write_bytes(b"a.mp4")
    monkeypatch.chdir(tmp_path)
    settings: HttpSettings = ALWAYS.model_copy(update={"content_folders": (film.parent,)})
    with opened_state(tmp_path / "data") as state:
        keyed = Keyed(tmp_path / "data", state, settings)
        key = key_of(state, Role.ADMIN)["Authorization"].removeprefix("Bearer ")

        class Here(Client):
            def __init__(self, url: str, **options: Any) -> None:
                super().__init__(url, transport=InProcess(keyed.app), **options)

        class HereAsync(AsyncClient):
            def __init__(self, url: str, **options: Any) -> None:
                super().__init__(url, transport=httpx.ASGITransport(keyed.app), **options)

        monkeypatch.setattr(storyhash.client.client, "Client", Here)
        monkeypatch.setattr(storyhash.client.client, "AsyncClient", HereAsync)
        # The name of the example's receiver cannot be looked up everywhere.
        monkeypatch.setattr(searcher.api.webhooks.routes, "check_url", lambda url, settings: None)
        video = keyed.api.index.videos.get("a.mp4")
        assert video is not None
        names: dict[str, Any] = {}
        with JobsDone(keyed.runner()):
            for example in examples[:-1]:
                exec(example.replace("sh_...", key).replace("whsec_...", SECRET), names)
            # The last one reads a file, which this catalogue names elsewhere.
            with pytest.raises(Exception, match="missing"):
                exec(examples[-1].replace("sh_...", key), names)
        keyed.close()
    with running(names["Receiver"]) as url:
        assert httpx.post(url, content=BODY, headers=sent_now()).status_code == 204
        assert httpx.post(url, content=BODY, headers=headers()).status_code == 400
    told = capsys.readouterr().out
    assert "5 of 5 bytes" in told
    assert "copy a.mp4" in told
    assert "done None" in told
    assert "unknown_match" in told
    assert "whsec_" in told
    assert "video.deleted" in told
