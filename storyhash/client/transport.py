"""The two transports of a client: they send requests and wait; what to do is in `exchange.py`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self, TypeVar

import anyio
import httpx
from pydantic import SecretStr

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.closeable import Closeable
from common.errors import SettingsError, UsageError
from common.log_context import REQUEST_ID_HEADER, current_log_context
from common.tracing import TRACEPARENT_HEADER, traceparent
from common.uris import without_passwords
from storyhash.client.call import Call
from storyhash.client.connection import Connection
from storyhash.client.exchange import Exchange, Outcome, Steps
from storyhash.client.refusals import Service
from storyhash.client.retries import Retries

Result = TypeVar("Result")
# A service that lives accepts a connection at once; the work itself may be that of a long film.
_CONNECT_SECONDS = 3.0
_DEFAULT_SECONDS = 900.0
_API_KEY = "STORYHASH_API_KEY"


class SyncTransport(Closeable):
    """Calls one service, from any thread. Close it, or use it in a `with` block."""

    def __init__(
        self,
        url: str,
        key: SecretStr | str | None = None,
        *,
        timeout_seconds: float = _DEFAULT_SECONDS,
        keep_alive: bool = True,
        key_setting: str = _API_KEY,
        retries: Retries = Retries(),  # noqa: B008
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """key: sent with each request. timeout_seconds: longest silence during its work. keep_alive:
        whether connections are reused. key_setting: the setting of the key, for messages. transport and
        sleep are for tests. Raises UsageError for an invalid URL, SettingsError for an invalid key."""
        service, options = _options(url, key, timeout_seconds, keep_alive, key_setting)
        self._http = httpx.Client(
            **options, transport=transport, event_hooks={"request": [_name_request]}
        )
        self.service = service
        self._exchange = Exchange(self._http, service, retries)
        self._sleep = sleep

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[Result]) -> Result:
        """The result of a call. Raises ServiceError if nothing answers, and for an error response
        VideoError, DependencyError, UsageError or StoryHashError with its code and message."""
        return self.run(self._exchange.result(call))

    def answer(self, call: Call[Any]) -> httpx.Response:
        """The response to a call. Raises the errors of `send`."""
        return self.run(self._exchange.answer(call))

    def run(self, steps: Steps[Result]) -> Result:
        """The result of steps."""
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, httpx.Request):
                try:
                    outcome = self._http.send(step)
                except httpx.RequestError as error:
                    outcome = error
            else:
                self._sleep(step)
                outcome = None

    @contextmanager
    def stream(
        self, call: Call[Any], cancellation: Cancellation = NEVER_CANCELLED
    ) -> Iterator[httpx.Response]:
        """A response that is read while it arrives; without retries. Raises the errors of `send`.

        A cancellation closes a new connection at once, so that the service stops its work; a reused
        connection (`keep_alive`) is closed after the next block.
        """
        connection = Connection()
        request = call.request(self._http, extensions={"trace": connection.note})
        try:
            with cancellation.calling(connection.end):
                answer = self._http.send(request, stream=True)
                try:
                    if not answer.is_success:
                        answer.read()
                        raise self.service.refusal(answer)
                    yield answer
                finally:
                    answer.close()
        except httpx.RequestError as error:
            raise self.service.silent(error) from None


class AsyncTransport:
    """Calls one service, from one event loop. Close it, or use it in an `async with` block."""

    def __init__(
        self,
        url: str,
        key: SecretStr | str | None = None,
        *,
        timeout_seconds: float = _DEFAULT_SECONDS,
        retries: Retries = Retries(),  # noqa: B008
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Any] = anyio.sleep,
    ) -> None:
        """See SyncTransport."""
        service, options = _options(url, key, timeout_seconds, True, _API_KEY)
        self._http = httpx.AsyncClient(**options, transport=transport)
        self.service = service
        self._exchange = Exchange(self._http, service, retries)
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[Result]) -> Result:
        """See SyncTransport."""
        return await self.run(self._exchange.result(call))

    async def run(self, steps: Steps[Result]) -> Result:
        """The result of steps."""
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, httpx.Request):
                try:
                    outcome = await self._http.send(step)
                except httpx.RequestError as error:
                    outcome = error
            else:
                await self._sleep(step)
                outcome = None

    @asynccontextmanager
    async def stream(self, call: Call[Any]) -> AsyncIterator[httpx.Response]:
        """A response that is read while it arrives; without retries. Raises the errors of `send`."""
        try:
            answer = await self._http.send(call.request(self._http), stream=True)
            try:
                if not answer.is_success:
                    await answer.aread()
                    raise self.service.refusal(answer)
                yield answer
            finally:
                await answer.aclose()
        except httpx.RequestError as error:
            raise self.service.silent(error) from None


def _options(
    url: str,
    key: SecretStr | str | None,
    timeout_seconds: float,
    keep_alive: bool,
    key_setting: str,
) -> tuple[Service, dict[str, Any]]:
    """The service, and the options of the httpx client. Raises UsageError, SettingsError."""
    token = (key.get_secret_value() if isinstance(key, SecretStr) else key) or ""
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise SettingsError(f"{key_setting}: expected a key such as sh_...")
    address = url.rstrip("/")
    shown = without_passwords(address)
    try:
        parsed = httpx.URL(address)
        usable = parsed.scheme in ("http", "https") and bool(parsed.host)
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise UsageError(f"expected an address such as http://127.0.0.1:8000, got {shown!r}")
    options = {
        "base_url": address,
        "timeout": httpx.Timeout(timeout_seconds, connect=_CONNECT_SECONDS),
        "headers": {"Authorization": f"Bearer {token}"} if token else {},
        "limits": httpx.Limits(max_keepalive_connections=None if keep_alive else 0),
    }
    return Service(shown, key_setting, has_key=bool(token)), options


def _name_request(request: httpx.Request) -> None:
    """A service that calls another one for a request passes the request's id and span on, so that both
    have the same id in their logs, and one trace."""
    request_id = current_log_context().get("request_id")
    if request_id:
        request.headers[REQUEST_ID_HEADER] = request_id
    parent = traceparent()
    if parent:
        request.headers[TRACEPARENT_HEADER] = parent
