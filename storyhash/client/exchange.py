"""What a client does, step by step, without a network: both transports run these steps.

A step is a request to send or a number of seconds to wait. Sending gives the response, or the error if
nothing answered.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

import httpx
from pydantic import ValidationError

from common.errors import DependencyError
from searcher.api.jobs.schemas import JobItem
from storyhash.client.call import Call
from storyhash.client.calls.jobs import show_job
from storyhash.client.refusals import Service
from storyhash.client.retries import Retries

Result = TypeVar("Result")
Outcome: TypeAlias = httpx.Response | httpx.RequestError | None
Steps: TypeAlias = Generator[httpx.Request | float, Outcome, Result]
_ENDED = frozenset({"done", "failed", "cancelled"})
# How long the service is asked to wait for a change of a job.
_MOST_SECONDS = 20.0
# Between two looks at a job, where the service does not wait.
_FIRST_SECONDS, _MOST_PAUSE_SECONDS = 0.1, 2.0


class Exchange:
    """The steps of calls to one service."""

    def __init__(
        self, http: httpx.Client | httpx.AsyncClient, service: Service, retries: Retries
    ) -> None:
        self._http = http
        self._service = service
        self._retries = retries

    def answer(self, call: Call[Any]) -> Steps[httpx.Response]:
        """The successful response to a call, after retries. Raises ServiceError if nothing answers; for
        an error response VideoError, DependencyError, UsageError or StoryHashError, with its code."""
        attempt, lost = 0, False
        while True:
            attempt += 1
            outcome = yield call.request(self._http)
            assert outcome is not None
            if isinstance(outcome, httpx.Response):
                if outcome.is_success or outcome.status_code in call.accept:
                    return outcome
                if lost and call.method == "DELETE" and outcome.status_code == 404:
                    # The attempt whose answer was lost has deleted it.
                    return outcome
            wait = self._retries.wait_after(call, attempt, outcome)
            if wait is None:
                if isinstance(outcome, httpx.Response):
                    raise self._service.refusal(outcome)
                raise self._service.silent(outcome) from None
            # Without Retry-After it may be the answer of a proxy that waited for that of the service.
            lost = lost or not (
                isinstance(outcome, httpx.Response) and "Retry-After" in outcome.headers
            )
            yield wait

    def result(self, call: Call[Result]) -> Steps[Result]:
        """The result of a call. Raises the errors of `answer`."""
        answer = yield from self.answer(call)
        try:
            return call.read(answer)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise self._service.not_ours(f"responded with {where}: {first['msg']}") from None
        except ValueError:
            raise self._service.not_ours("did not respond with JSON") from None

    def ended_job(
        self,
        job_id: str,
        timeout_seconds: float | None,
        on_progress: Callable[[JobItem], None] | None,
    ) -> Steps[JobItem]:
        """A job when it has ended. With a time-out, a service that does not answer is asked until then.
        Raises DependencyError at the time-out, and the errors of `answer`."""
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        # The answer must come before the client takes the service for silent.
        longest = min(_MOST_SECONDS, (self._http.timeout.read or math.inf) / 2)
        job, pause = (yield from self.result(show_job(job_id))), _FIRST_SECONDS
        while True:
            if on_progress is not None:
                on_progress(job)
            if job.state in _ENDED:
                return job
            left = _MOST_SECONDS if until is None else until - time.monotonic()
            if left <= 0:
                raise DependencyError(
                    f"job {job_id} is {job.state} after {timeout_seconds} s; wait for it again, or "
                    "cancel it"
                )
            before, asked = job, time.monotonic()
            try:
                job = yield from self.result(show_job(job_id, wait_seconds=min(left, longest)))
            except DependencyError:
                # Perhaps the service restarts, and its jobs outlive that.
                if until is None or time.monotonic() >= until:
                    raise
            if job != before:
                pause = _FIRST_SECONDS
            elif time.monotonic() - asked < min(left, pause):
                # A service with too many requests that wait answers this one at once.
                yield pause
                pause = min(_MOST_PAUSE_SECONDS, pause * 1.5)
