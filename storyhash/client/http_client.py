"""Another StoryHash service over HTTP: its answers, and its refusals as errors of ours."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Self

import httpx
from pydantic import SecretStr

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import (
    DependencyError,
    NotReadyError,
    ServiceError,
    SettingsError,
    StoryHashError,
    UsageError,
    VideoError,
)
from common.log_context import REQUEST_ID_HEADER, current_log_context
from common.uris import without_passwords

# A service that lives answers a connection at once; the work itself may be a long film's.
_CONNECT_SECONDS = 3.0
_KINDS = {422: VideoError, 429: DependencyError, 503: DependencyError}
# Codes of refusals that another key may change.
KEY_REFUSALS = frozenset({"unauthorized", "forbidden"})


class RemoteService:
    """One service, by its address."""

    def __init__(
        self,
        url: str,
        key: SecretStr | None = None,
        *,
        timeout_seconds: float,
        keep_alive: bool = True,
        key_setting: str = "STORYHASH_API_KEY",
    ) -> None:
        """key: sent with each request. timeout_seconds: longest silence during its work. keep_alive:
        whether connections are reused. key_setting: the setting of the key, for messages. Raises
        UsageError for an invalid URL, SettingsError for an invalid key."""
        self._key_setting = key_setting
        token = "" if key is None else key.get_secret_value()
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise SettingsError(f"{key_setting}: expected a key such as sh_...")
        self._has_key = bool(token)
        # As messages show it.
        self.url = without_passwords(url.rstrip("/"))
        timeout = httpx.Timeout(timeout_seconds, connect=_CONNECT_SECONDS)
        try:
            self._client = httpx.Client(
                base_url=url.rstrip("/"),
                timeout=timeout,
                headers={"Authorization": f"Bearer {token}"} if token else {},
                limits=httpx.Limits(max_keepalive_connections=None if keep_alive else 0),
                event_hooks={"request": [_name_request]},
            )
            usable = self._client.base_url.scheme in ("http", "https")
        except httpx.InvalidURL:
            usable = False
        if not usable or not self._client.base_url.host:
            raise UsageError(f"expected an address such as http://127.0.0.1:8000, got {self.url!r}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer to a request; arguments as in httpx.

        Raises ServiceError if nothing answers. An error response raises VideoError, DependencyError,
        UsageError or StoryHashError with its code and message.
        """
        with self._told():
            answer = self._client.request(method, path, **request)
        if answer.is_success:
            return answer
        raise self._refusal(answer)

    def check_ready(self) -> None:
        """Raises NotReadyError if the service is not ready, and the errors of `ask`."""
        with self._told():
            answer = self._client.request("GET", "/readyz")
        if answer.is_success:
            return
        try:
            reasons = dict(answer.json()["reasons"])
        except (ValueError, KeyError, TypeError):
            raise self._refusal(answer) from None
        conditions = "; ".join(f"{condition}: {reason}" for condition, reason in reasons.items())
        raise NotReadyError(
            f"{self.url} is not ready ({conditions}); try again when /readyz reports ok"
        )

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        cancellation: Cancellation = NEVER_CANCELLED,
        **request: Any,
    ) -> Iterator[httpx.Response]:
        """A streamed answer. Raises the errors of `ask`.

        A cancellation closes a new connection at once, so that the service stops its work; a reused
        connection (`keep_alive`) is closed after the next block.
        """
        connection = _Connection()
        request["extensions"] = {"trace": connection.note}
        with (
            self._told(),
            cancellation.calling(connection.end),
            self._client.stream(method, path, **request) as answer,
        ):
            if not answer.is_success:
                answer.read()
                raise self._refusal(answer)
            yield answer

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise ServiceError(
                f"{self.url} does not respond in time ({type(error).__name__}); it may be "
                "overloaded"
            ) from None
        except httpx.TransportError as error:
            raise ServiceError(
                f"{self.url} does not respond ({error}); start the service, or use another address"
            ) from None

    def _refusal(self, answer: httpx.Response) -> StoryHashError:
        status = answer.status_code
        try:
            body = answer.json()["error"]
            code, message = str(body["code"]), str(body["message"])
        except (ValueError, KeyError, TypeError):
            return ServiceError(
                f"{self.url} responded with {status} but is not a StoryHash service; check "
                "the address"
            )
        if status == 401:
            message = self._explained()
        kind = _KINDS.get(status, UsageError if 400 <= status < 500 else StoryHashError)
        error = kind(message)
        error.code = code
        return error

    def _explained(self) -> str:
        """What to do about a key that is missing or wrong."""
        if not self._has_key:
            return (
                f"{self.url} requires an API key: set {self._key_setting} to one; on its machine, "
                "`storyhash keys create NAME --role ROLE` makes one"
            )
        return (
            f"{self.url} does not accept the key in {self._key_setting}: it is unknown, expired or "
            "revoked; set it to another one"
        )


class _Connection:
    """The socket of one request, for shutdown from another thread; a close would not wake a reader."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: Any = None
        self._ended = False

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpx reports of a request; a connection among it."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self._ended:
                    self._shut_down()

    def end(self) -> None:
        """End the wait of those that wait for it."""
        with self._lock:
            self._ended = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                # Not that of TLS, which another thread may be reading with.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _name_request(request: httpx.Request) -> None:
    """A service that calls another one for a request passes the request's id on, so that the logs of both
    name it."""
    request_id = current_log_context().get("request_id")
    if request_id:
        request.headers[REQUEST_ID_HEADER] = request_id
