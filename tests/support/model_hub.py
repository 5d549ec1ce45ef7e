"""A local model hub with as much of the protocol as a download needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.support.http_server import running

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve_hub(folder: Path, model: str, *, lies_of: str = "") -> Iterator[tuple[str, list[str]]]:
    """Serve the files of a folder as `model`. Gives the endpoint and the list of requests so far.

    lies_of: a file whose stated checksum is wrong."""
    asked: list[str] = []

    def said_of(file: Path) -> str:
        salt = b"another" if file.name == lies_of else b""
        return hashlib.sha256(file.read_bytes() + salt).hexdigest()

    def lfs_of(file: Path) -> dict[str, object]:
        return {"sha256": said_of(file), "size": file.stat().st_size, "pointerSize": 134}

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            asked.append(f"{self.command} {path}")
            prefix = f"/{model}/resolve/"
            if path.startswith(f"/api/models/{model}/tree/"):
                return self._send(json.dumps(self._tree()).encode(), body, {})
            if path.startswith(f"/api/models/{model}"):
                return self._send(json.dumps(self._info()).encode(), body, {})
            file = folder / path.removeprefix(prefix).partition("/")[2]
            if path.startswith(prefix) and file.is_file():
                return self._send_file(file.read_bytes(), body)
            self.send_response(404)
            self.send_header("content-length", "0")
            self.end_headers()
            return None

        def _info(self) -> dict[str, object]:
            names = [
                {"rfilename": one.name, "size": one.stat().st_size, "lfs": lfs_of(one)}
                for one in sorted(folder.iterdir())
            ]
            return {"id": model, "sha": COMMIT, "siblings": names, "private": False, "tags": []}

        def _tree(self) -> list[dict[str, object]]:
            return [
                {
                    "type": "file",
                    "path": one.name,
                    "size": one.stat().st_size,
                    "oid": hashlib.sha256(one.read_bytes()).hexdigest(),
                }
                for one in sorted(folder.iterdir())
            ]

        def _send_file(self, content: bytes, body: bool) -> None:
            first = 0
            wanted = self.headers.get("range", "")
            if wanted.startswith("bytes="):
                first = int(wanted[6:].split("-")[0] or 0)
            self._send(
                content[first:],
                body,
                {
                    "etag": f'"{hashlib.sha256(content).hexdigest()}"',
                    "x-repo-commit": COMMIT,
                    "accept-ranges": "bytes",
                    "x-linked-size": str(len(content)),
                },
                status=206 if first else 200,
            )

        def _send(
            self, content: bytes, body: bool, headers: dict[str, str], status: int = 200
        ) -> None:
            self.send_response(status)
            for name, value in {"content-length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

    with running(Hub) as url:
        yield url, asked
