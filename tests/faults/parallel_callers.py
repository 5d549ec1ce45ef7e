"""Many callers of two keys at once, in a process of their own: URL SECONDS CLIP KEY:CALLERS ...
Each uploads the clip to be matched, again and again. Prints as JSON what each key was answered."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.support.background import together

# Between a refusal and the next request: callers that do not wait as long as they are told.
_PAUSE_SECONDS = 0.25
_TIMEOUT_SECONDS = 300.0


class Callers:
    """Those of one key. They share an address of their own on this machine."""

    def __init__(self, url: str, token: str, number: int, clip: bytes, until: float) -> None:
        self.statuses: Counter[str] = Counter()
        self.without_advice = 0
        self._url, self._clip, self._until = url, clip, until
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/octet-stream",
        }
        self._source = f"127.0.0.{number}"
        self._lock = threading.Lock()

    def call(self) -> None:
        transport = httpx.HTTPTransport(local_address=self._source)
        with httpx.Client(
            base_url=self._url, transport=transport, headers=self._headers, timeout=_TIMEOUT_SECONDS
        ) as client:
            while time.monotonic() < self._until:
                try:
                    answer = client.post("/v1/match", content=self._clip)
                    status = str(answer.status_code)
                    advised = "Retry-After" in answer.headers
                except httpx.TransportError as error:
                    # A refusal may end the connection while the clip is still being sent.
                    status, advised = type(error).__name__, True
                with self._lock:
                    self.statuses[status] += 1
                    self.without_advice += status in ("429", "503") and not advised
                if status != "200":
                    time.sleep(_PAUSE_SECONDS)


def called(url: str, seconds: float, clip: bytes, keys: dict[str, int]) -> list[dict[str, Any]]:
    """What the callers of each key were answered."""
    until = time.monotonic() + seconds
    groups = [
        (Callers(url, token, 2 + number, clip, until), callers)
        for number, (token, callers) in enumerate(keys.items())
    ]
    together(group.call for group, callers in groups for _ in range(callers))
    return [
        {
            "callers": callers,
            "answered": group.statuses["200"],
            "statuses": dict(group.statuses),
            "without_retry_after": group.without_advice,
        }
        for group, callers in groups
    ]


if __name__ == "__main__":
    given = dict(one.rsplit(":", 1) for one in sys.argv[4:])
    found = called(
        *(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]).read_bytes()),
        {token: int(callers) for token, callers in given.items()},
    )
    sys.stdout.write(json.dumps(found))
