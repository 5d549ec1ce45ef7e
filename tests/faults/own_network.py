"""The service's own network: a port that no caller may make it reach, and addresses that lead there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler

from tests.support.http_server import running

# The receiver of webhooks has this address; every other one of this machine is private.
RECEIVER = "127.0.0.2"


class Web:
    """A receiver of webhooks that redirects each event into the own network, and a port of that network
    that nobody may reach."""

    def __init__(self) -> None:
        web = self
        self.reached = 0

        class Redirects(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{web.port}/")
                self.send_header("Content-Length", "0")
                self.end_headers()

        class Inside(BaseHTTPRequestHandler):
            def handle(self) -> None:
                web.reached += 1

        self._servers = ExitStack()
        self.url = self._servers.enter_context(running(Redirects, RECEIVER))
        inside = self._servers.enter_context(running(Inside))
        self.port = inside.rpartition(":")[2]

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def into_the_network(self) -> Iterator[str]:
        """Addresses that lead to the port inside, or to other private places."""
        yield from (
            f"http://{name}:{self.port}/film.mp4"
            for name in (
                *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "017700000001"),
                *("127.1", "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]"),
                *(
                    "[64:ff9b::7f00:1]",
                    "[2002:7f00:1::]",
                    "localhost.localdomain",
                    "127.0.0.1.",
                    "①②⑦.0.0.1",
                ),
            )
        )
        yield from (
            *(
                "http://169.254.169.254/latest/meta-data/",
                "http://10.0.0.1/",
                "http://192.168.0.1/",
            ),
            *(
                "http://[fe80::1]/",
                "http://[fd00::1]/",
                "http://100.64.0.1/",
                "http://user@127.0.0.1/",
            ),
            *(
                "file:///etc/passwd",
                "gopher://127.0.0.1/",
                "ftp://127.0.0.1/",
                "/etc/passwd",
                "concat:a|b",
            ),
        )
