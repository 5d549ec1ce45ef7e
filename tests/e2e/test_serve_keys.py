"""`storyhash serve` beyond this machine: the first key is shown on the terminal, and opens the API."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import command, copied, draw, environment, storyhash
from tests.support.services import wait_until

_SETTINGS = {
    "STORYHASH_HTTP__HOST": "0.0.0.0",
    "STORYHASH_HTTP__PORT": "0",
    "STORYHASH_PROFILE": "offline",
}
_TOKEN = re.compile(r"sh_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


class Terminal:
    """A terminal that a process has, though its output goes to a file."""

    def __init__(self) -> None:
        self._ours, self._its = pty.openpty()
        os.set_blocking(self._ours, False)
        self._shown = b""

    def start(self, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
        its = self._its
        with log.open("ab") as file:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment(**_SETTINGS),
                start_new_session=True,
                pass_fds=(its,),
                preexec_fn=lambda: fcntl.ioctl(its, termios.TIOCSCTTY, 0),
            )

    def text(self) -> str:
        with suppress(BlockingIOError):
            self._shown += os.read(self._ours, 1 << 16)
        return self._shown.decode()

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._its)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


def test_the_first_start_shows_an_admin_key_that_opens_the_api(
    terminal: Terminal, indexed: Path, tmp_path: Path
) -> None:
    data, log = copied(indexed, tmp_path), tmp_path / "log"
    process = terminal.start(command("serve", "--data", data), log)
    try:
        wait_until(lambda: process.poll() is not None or "listening on" in log.read_text(), "start")
        url = re.findall(r"listening on (http://\S+)", log.read_text())[0]
        wait_until(lambda: "sh_" in terminal.text(), "the first key on the terminal")
        (token,) = _TOKEN.findall(terminal.text())
        assert token not in log.read_text()

        assert httpx.get(f"{url}/livez").status_code == 200
        assert httpx.get(f"{url}/v1/videos").status_code == 401
        admin = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=admin, timeout=60) as client:
            wait_until(lambda: client.get("/readyz").status_code == 200, "readiness")
            assert client.get("/v1/videos").json()["total"] == 4
            new = {"name": "phone", "role": "reader"}
            reader = client.post("/v1/keys", json=new).json()

        copy = draw(tmp_path / "copy.mp4", 2, mirrored=True)
        refused = storyhash("match", copy, "--server", url)
        assert (refused.exit_code, "set STORYHASH_API_KEY" in refused.stderr) == (2, True)
        found = storyhash("match", copy, "--server", url, "--json", STORYHASH_API_KEY=reader["key"])
        assert json.loads(found.stdout)["matches"][0]["video_id"] == "b.mkv", found.stderr
        delete = ("videos", "delete", "a.mp4", "--server", url)
        lesser = storyhash(*delete, STORYHASH_API_KEY=reader["key"])
        assert (lesser.exit_code, "needs the role writer" in lesser.stderr) == (2, True)
        assert storyhash(*delete, STORYHASH_API_KEY=token).exit_code == 0

        shown = storyhash("config", STORYHASH_API_KEY=token)
        assert "STORYHASH_API_KEY=***" in shown.stdout
        assert token not in shown.stdout
        # Beside the running service, which follows within seconds.
        assert storyhash("keys", "revoke", reader["id"], "--data", data).exit_code == 0
        key = {"Authorization": f"Bearer {reader['key']}"}
        wait_until(
            lambda: httpx.get(f"{url}/v1/videos", headers=key).status_code == 401, "revocation"
        )
    finally:
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(300) == 0, log.read_text()
    assert "Traceback" not in log.read_text()
