"""Sends one event to one address, which must be public."""

from __future__ import annotations

import asyncio
import ssl
import time

import httpx

from common.errors import DependencyError, FetchError, UsageError
from common.network.checked_request import checked_address, reason_of, request_at
from common.settings import WebhookSettings
from common.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, signature

_SETTING = "STORYHASH_WEBHOOKS__PRIVATE_HOSTS"
# A caller of the API waits for no lookup longer than this.
_CHECK_SECONDS = 5.0


class SendError(Exception):
    """An event was not accepted. status: of the answer; None without one. The message has no secrets."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def check_url(url: str, settings: WebhookSettings) -> None:
    """Check an address against the rules of `Sender`. Raises UsageError, DependencyError."""
    try:
        _address_of(_parsed(url, settings), settings, _CHECK_SECONDS)
    except (SendError, FetchError) as error:
        raise UsageError(f"url: {error}") from None


class Sender:
    """Sends events. Use it in one event loop.

    It connects to the address that it checked at this very attempt, so that a name cannot be given
    another address in between. It follows no redirect, and reads no body of an answer.
    """

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context()

    async def send(self, url: str, secret: str, event_id: str, body: bytes) -> int:
        """Send an event once; returns the status of the answer, 200 to 299. Raises SendError."""
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                status = await self._post(url, secret, event_id, body)
        except (TimeoutError, httpx.TimeoutException):
            raise SendError(
                f"no answer within {self._settings.timeout_seconds:g} s "
                "(STORYHASH_WEBHOOKS__TIMEOUT_SECONDS)"
            ) from None
        except (FetchError, DependencyError, httpx.HTTPError, OSError) as error:
            raise SendError(reason_of(error)) from None
        if not 200 <= status < 300:
            # The signed event goes to the address that an admin named, and to no other.
            redirected = "; no redirect is followed: create the webhook with the new address"
            hint = redirected if 300 <= status < 400 else ""
            raise SendError(f"the receiver answered with {status}{hint}", status)
        return status

    async def _post(self, url: str, secret: str, event_id: str, body: bytes) -> int:
        target = _parsed(url, self._settings)
        address = await asyncio.to_thread(
            _address_of, target, self._settings, self._settings.timeout_seconds
        )
        timestamp = int(time.time())
        request = request_at(
            address,
            "POST",
            target,
            {
                "Content-Type": "application/json",
                ID_HEADER: event_id,
                TIMESTAMP_HEADER: str(timestamp),
                SIGNATURE_HEADER: signature(secret, event_id, timestamp, body),
            },
            body,
        )
        # A connection was checked for one host name, so it is not used for another event.
        async with httpx.AsyncClient(
            timeout=self._settings.timeout_seconds, trust_env=False, verify=self._tls
        ) as client:
            response = await client.send(request, stream=True)
            await response.aclose()
        return response.status_code


def _parsed(url: str, settings: WebhookSettings) -> httpx.URL:
    """Raises SendError for an address that no webhook may have."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise SendError("expected an address such as https://host/path") from None
    if parsed.scheme not in ("https", "http") or not parsed.host:
        raise SendError("expected an address such as https://host/path")
    if parsed.userinfo:
        raise SendError("expected no user name and password; events are signed instead")
    if parsed.scheme == "http" and parsed.host not in settings.private_hosts:
        raise SendError(f"expected https://; http:// is only for hosts in {_SETTING}")
    return parsed


def _address_of(url: httpx.URL, settings: WebhookSettings, timeout_seconds: float) -> str:
    return checked_address(url, settings.private_hosts, _SETTING, timeout_seconds)
