"""When a request is sent again, and how long to wait before."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import httpx

from storyhash.client.call import Call

_TEMPORARY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retries:
    """attempts: of one request, in all. failures: whether a request is sent again also where nothing
    answered or the response has no Retry-After; then only if it may be repeated. The waits double from
    `first_seconds`; a Retry-After of more than `most_seconds` is not waited for."""

    attempts: int = 4
    failures: bool = True
    first_seconds: float = 0.5
    most_seconds: float = 30.0

    def wait_after(
        self, call: Call[Any], attempt: int, outcome: httpx.Response | httpx.RequestError
    ) -> float | None:
        """Seconds to wait before the next attempt; None if the outcome is final. attempt: from 1."""
        if attempt >= self.attempts or isinstance(outcome, httpx.DecodingError):
            return None
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in _TEMPORARY or outcome.status_code in call.accept:
                return None
            advice = outcome.headers.get("Retry-After", "")
            if advice.isascii() and advice.isdecimal() and len(advice) < 9:
                # The service did not begin, so every request may be sent again.
                return float(advice) if int(advice) <= self.most_seconds else None
        if not self.failures or not call.repeatable:
            return None
        longest = min(self.most_seconds, self.first_seconds * 2 ** (attempt - 1))
        # Callers that failed at the same time do not come back at the same time.
        return longest * random.uniform(0.5, 1.0)


NO_RETRIES = Retries(attempts=1)
# A person who waits for a command sees at once that a service is down, and waits for one that is busy.
ONLY_BUSY = Retries(failures=False)
