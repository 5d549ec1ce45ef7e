"""Counts the queries and uploaded bytes of a request against the quota of its key. Refuses a video if no
second of video is left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from common.errors import StateError
from common.http.errors import ApiError
from common.http.request_body import JSON_TYPE, content_type
from common.http.request_facts import REPLAYED_HEADER

if TYPE_CHECKING:
    # SQLAlchemy is slow to import, and commands that only call a service do not need it.
    from common.state.quotas import Quota, QuotaStore, Spent, Use

_log = logging.getLogger("storyhash.http")
# An upload of unknown length is counted ahead in steps of this size.
_STEP_BYTES = 16 << 20
_UNITS = {
    "queries": "queries",
    "upload_bytes": "uploaded bytes",
    "video_seconds": "seconds of video",
}


class QuotaMeter:
    """The use of one request. Nothing is counted unless `begin` is called. A request that the service
    refuses for a reason of its own (429, 5xx) and the repetition of an answer cost nothing."""

    def __init__(
        self, store: Callable[[], QuotaStore], limiter: CapacityLimiter, key_id: str, quota: Quota
    ) -> None:
        self._store, self._limiter = store, limiter
        self._key_id, self._quota = key_id, quota
        self._spent: Spent | None = None
        # Of this request: bytes that were counted, and those that arrived without having been announced.
        self._queries = self._bytes = self._arrived = 0
        self._measured = False

    async def begin(self, scope: Scope, *, query: bool, upload: bool) -> None:
        """Count a query, the announced length of the body, or both. upload: whether the request is about
        a video to decode; a query in JSON perhaps is not, so whoever reads it calls `check_seconds`.
        Raises ApiError (429)."""
        length, in_json = 0, content_type(Request(scope)) == JSON_TYPE
        # JSON names a video, and is not one.
        if upload and not in_json:
            announced = _length(scope)
            self._measured = announced is None
            length = announced or 0
        await self._spend(int(query), length)
        if upload and not (query and in_json):
            self.check_seconds()

    def check_seconds(self) -> None:
        """Raises ApiError (429) if no second of video is left, before a video is decoded."""
        if self._spent is not None and self._spent.use.used_up(self._quota):
            raise self._refusal("video_seconds")

    def receive(self, receive: Receive) -> Receive:
        """Wrap `receive`, so that a body of unknown length is counted while it arrives."""

        async def counted() -> Message:
            message = await receive()
            if self._measured:
                self._arrived += len(message.get("body", b""))
                while self._arrived > self._bytes:
                    await self._spend(0, self._ahead())
            return message

        return counted

    async def end(self, status: int, headers: MutableHeaders) -> None:
        """Give back what is not owed, and say in the response what is left."""
        if self._spent is None:
            return
        owed_bytes = self._arrived if self._measured else self._bytes
        free = status == 429 or status >= 500 or REPLAYED_HEADER in headers
        back = self._use(self._queries, self._bytes) if free else None
        if back is None and owed_bytes < self._bytes:
            back = self._use(0, self._bytes - owed_bytes)
        used = self._spent.use
        if back is not None:
            try:
                await self._run(lambda store, day: store.give_back(self._key_id, day, back))
                used = used.plus(back, -1)
            except StateError as error:
                # The response is there already, and says perhaps that this database is down.
                _log.error("the key %s paid for a request without result: %s", self._key_id, error)
        self._tell(used, headers)

    def _ahead(self) -> int:
        """Bytes to count for what has arrived: as much as is left, up to a step, but at least that."""
        needed = self._arrived - self._bytes
        limit, used = self._quota.upload_bytes_per_day, self._spent
        left = limit - used.use.upload_bytes if limit and used else _STEP_BYTES
        return max(needed, min(_STEP_BYTES, left))

    async def _spend(self, queries: int, upload_bytes: int) -> None:
        cost = self._use(queries, upload_bytes)
        spent = await to_thread.run_sync(
            lambda: self._store().spend(self._key_id, self._quota, cost), limiter=self._limiter
        )
        self._spent = spent
        if spent.exceeded:
            raise self._refusal(spent.exceeded)
        self._queries += queries
        self._bytes += upload_bytes

    async def _run(self, change: Callable[[QuotaStore, int], None]) -> None:
        day = 0 if self._spent is None else self._spent.day
        await to_thread.run_sync(lambda: change(self._store(), day), limiter=self._limiter)

    def _use(self, queries: int, upload_bytes: int) -> Use:
        from common.state.quotas import Use

        return Use(queries, upload_bytes)

    def _refusal(self, exceeded: str) -> ApiError:
        limit = getattr(self._quota, f"{exceeded}_per_day")
        wait = self._store().seconds_left()
        return ApiError(
            429,
            "quota_exceeded",
            f"the key may use {limit} {_UNITS[exceeded]} per day (UTC); the next day begins in {wait} s, "
            "or ask for a larger quota",
            close=True,
            headers={"Retry-After": str(wait)},
        )

    def _tell(self, used: Use, headers: MutableHeaders) -> None:
        """`RateLimit-Policy` and `RateLimit`, as in draft-ietf-httpapi-ratelimit-headers."""
        wait = self._store().seconds_left()
        policies, left = [], []
        for name, unit in (
            ("queries", ""),
            ("upload_bytes", ';qu="content-bytes"'),
            ("video_seconds", ';qu="seconds"'),
        ):
            limit = getattr(self._quota, f"{name}_per_day")
            if limit:
                policies.append(f'"{name}";q={limit};w=86400{unit}')
                left.append(f'"{name}";r={max(0, limit - getattr(used, name))};t={wait}')
        headers["RateLimit-Policy"], headers["RateLimit"] = ", ".join(policies), ", ".join(left)


def _length(scope: Scope) -> int | None:
    """The announced length of the body; None if it is unknown. Without a body it is 0."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return None
    length = bytes(headers.get(b"content-length", b"0"))
    return int(length) if length.isdigit() else None
