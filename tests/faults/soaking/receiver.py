"""A receiver of webhooks that refuses about half of the requests, and a host of films."""

from __future__ import annotations

import json
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from common.errors import WebhookSignatureError
from storyhash.client.webhooks import verify_webhook
from tests.support.http_server import running

# One event is refused at most this often, so that its retries, each twice as late as the one before, end
# in a known time.
MOST_REFUSALS = 6


@contextmanager
def hosting(films: Path) -> Iterator[Host]:
    """A web server on loopback: `GET` sends films, `POST` takes events."""
    receiver = Receiver()

    class Films(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, (films / Path(urlsplit(self.path).path).name).read_bytes())

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = self.rfile.read(size)
            if len(body) < size:
                # The service was killed while it sent.
                self.close_connection = True
                return
            self._answer(receiver.take(dict(self.headers.items()), body), b"")

        def _answer(self, status: int, body: bytes) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                # The service was killed meanwhile.
                self.close_connection = True

    with running(Films) as url:
        yield Host(url, receiver)


@dataclass(frozen=True, slots=True)
class Host:
    """Where films come from and events go."""

    url: str
    receiver: Receiver


class Receiver:
    """What arrived. Thread-safe."""

    def __init__(self) -> None:
        self.secret = ""
        self.requests = self.refused = 0
        self.accepted: Counter[str] = Counter()
        # By event id; an id with two contents is in `ambiguous`.
        self.events: dict[str, dict[str, Any]] = {}
        self.ambiguous: list[str] = []
        self.unverified: list[str] = []
        self._tries: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer to a request."""
        try:
            event = verify_webhook(self.secret, headers, body)
        except (WebhookSignatureError, json.JSONDecodeError) as error:
            with self._lock:
                self.unverified.append(str(error))
            return 400
        name = str(event["id"])
        with self._lock:
            self.requests += 1
            self._tries[name] += 1
            tried = self._tries[name]
            # A coin that falls the same way for the same attempt.
            tails = zlib.crc32(f"{name} {tried}".encode()) & 1
            if tails and tried <= MOST_REFUSALS:
                self.refused += 1
                return 500
            held = self.events.setdefault(name, event)
            if held["data"] != event["data"]:
                self.ambiguous.append(name)
            self.accepted[name] += 1
        return 204

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The data of all accepted events of a type."""
        with self._lock:
            return [one["data"] for one in self.events.values() if one["type"] == kind]

    @property
    def figures(self) -> dict[str, Any]:
        with self._lock:
            return {
                "requests": self.requests,
                "refused": self.refused,
                "events": len(self.events),
                "accepted_more_than_once": sum(n > 1 for n in self.accepted.values()),
                "by_type": dict(Counter(one["type"] for one in self.events.values())),
            }
