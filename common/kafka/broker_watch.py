"""Notices that no broker answers, also while connections to it stay open."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from common.errors import StoryHashError
from common.kafka.client import log, open_client, refreshed
from common.settings import KafkaSettings
from common.uris import without_passwords

_ASK_SECONDS = 1.0
# Shorter interruptions are reconnections and are not reported.
_REFUSED_SECONDS = 2.0
_LOG_SECONDS = 60.0
_CLOSE_SECONDS = 2.0


class BrokerWatch:
    """Asks the brokers for their metadata every second, over a connection and in a thread of its own.

    A broker that hangs, or a network that drops packets, closes no connection. A service that waits for
    an acknowledgement notices it only at the end of the delivery time-out, and one without work never.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._where = f"Kafka at {without_passwords(kafka.bootstrap_servers)}"
        self._patience_seconds = kafka.request_timeout_seconds
        # If one broker of several hangs, there is time left to ask another one.
        self._wait_seconds = kafka.request_timeout_seconds / 3
        self._kafka = kafka.model_copy(update={"request_timeout_seconds": self._wait_seconds})
        self._admin: Any = None
        self._client: Any = None
        self._opened_at = 0.0
        # Services start only if a broker answers.
        self._answered_at = time.monotonic()
        self._refused_since: float | None = None
        # Why no new connection could be opened.
        self._problem = ""
        self._logged_at: float | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(_CLOSE_SECONDS)

    def reason(self) -> str:
        """What is wrong: a new connection is refused, no connection for two seconds, or no answer for as
        long as the request time-out; else empty."""
        if self._problem:
            return self._problem
        now, refused_since = time.monotonic(), self._refused_since
        if refused_since is not None and now - refused_since > _REFUSED_SECONDS:
            return f"{self._where} does not respond: it accepts no connection"
        silent = now - self._answered_at
        if silent > self._patience_seconds:
            return f"{self._where} does not respond: no answer for {silent:.0f} s"
        return ""

    def tell(self) -> None:
        """Log one line when the brokers stop to answer, one per minute after that, and one at the end."""
        now, reason = time.monotonic(), self.reason()
        if reason and (self._logged_at is None or now - self._logged_at >= _LOG_SECONDS):
            self._logged_at = now
            log.warning("%s; waiting for it", reason)
        elif not reason and self._logged_at is not None:
            self._logged_at = None
            log.info("%s responds again", self._where)

    def _run(self) -> None:
        while not self._closing.wait(_ASK_SECONDS):
            started = time.monotonic()
            answered = self._ask()
            if self._closing.is_set():
                break
            now = time.monotonic()
            if answered:
                self._answered_at, self._refused_since, self._problem = now, None, ""
            elif now - started < self._wait_seconds / 2:
                self._refused_since = self._refused_since or started
            else:
                self._refused_since = None
            self.tell()
        self._drop()

    def _ask(self) -> bool:
        """Whether a broker answers within a third of the request time-out."""
        now = time.monotonic()
        if now - max(self._answered_at, self._opened_at) > 2 * self._patience_seconds:
            # A new client, in case it is this one that no longer works.
            self._drop()
        try:
            if self._client is None:
                self._opened_at = now
                self._admin, self._client = open_client(self._kafka, KafkaAdminClient)
            return refreshed(self._client, self._wait_seconds)
        except StoryHashError as error:
            self._problem = str(error)
            return False

    def _drop(self) -> None:
        admin, self._admin, self._client = self._admin, None, None
        if admin is not None:
            with contextlib.suppress(KafkaError):
                admin.close()
