"""Authentication: verifies API keys, caches them for a few seconds and limits their request rate."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter, to_thread
from starlette.types import Scope

from common.errors import NotReadyError, StoryHashError
from common.http.connection import network_of
from common.http.errors import ApiError
from common.http.quota import QuotaMeter
from common.http.rate_limit import RateLimit
from common.http.request_facts import ANYONE, Caller, facts_of
from common.settings import HttpSettings

if TYPE_CHECKING:
    # SQLAlchemy is slow to import, and commands that only call a service do not need it.
    from common.state.keys import Key
    from common.state.state import State

_log = logging.getLogger("storyhash.http")
# Cache time of a verified key: a key that another process revoked is refused at the latest after it.
REMEMBERED_SECONDS = 5.0
MAX_REMEMBERED = 1024
_MAX_NETWORKS = 4096
# Threads that verify keys. Other routes do not use them.
_THREADS = 2


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    per_minute: int
    until: float
    expires_at: float


class Access:
    """Decides who may call one service. Use it from one event loop; `forget` may be called from any
    thread."""

    def __init__(
        self,
        settings: HttpSettings,
        *,
        beyond_loopback: bool,
        once_a_key_exists: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """beyond_loopback: whether other machines can reach the service. once_a_key_exists: whether the
        mode `auto` requires keys from every caller as soon as one key exists. It is False for an
        embedder, which has no videos."""
        self._settings = settings
        self._clock, self._wall_clock = clock, wall_clock
        self._state: State | None = None
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        # Number of calls of `forget`. A key that was read before the latest call is not cached.
        self._forgotten = 0
        auto = settings.require_keys == "auto"
        self.always_required = settings.require_keys == "always" or (
            auto and beyond_loopback and not settings.allow_unauthenticated
        )
        self._required = self.always_required
        self._once_one_exists = auto and once_a_key_exists
        self._asked_at = float("-inf")
        self._requests = RateLimit(MAX_REMEMBERED, clock)
        self._failures = RateLimit(_MAX_NETWORKS, clock)
        self._limiter = CapacityLimiter(_THREADS)
        self._recorders = CapacityLimiter(1)
        self._counters = CapacityLimiter(_THREADS)

    @property
    def state(self) -> State:
        """The state database. Raises NotReadyError before `open`."""
        if self._state is None:
            raise NotReadyError("the service is starting; try again later")
        return self._state

    def open(self, state: State) -> None:
        """Verify keys with this state from now on. Until then, requests that need it get a
        NotReadyError."""
        self._state = state

    @property
    def remembered(self) -> int:
        """Number of keys in the cache."""
        return len(self._verified)

    def forget(self) -> None:
        """Clear the cache, so that every key is read from the database again. Call it after a key was
        created or revoked."""
        self._forgotten += 1
        self._verified.clear()
        self._asked_at = float("-inf")

    async def caller(self, scope: Scope) -> Caller:
        """The caller of a request; ANYONE if no key is required.

        Raises ApiError (401, 429), NotReadyError, StateError.
        """
        if not self._required and not await self._key_exists():
            return ANYONE
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        token = _bearer(given)
        if token is None:
            raise _unauthorized(
                "an API key is required: send it as `Authorization: Bearer sh_...`; `storyhash keys "
                "create` makes one",
                "",
            )
        digest = hashlib.sha256(token).digest()
        found = self._verified.get(digest)
        now = self._clock()
        if found is None or found.until <= now or found.expires_at <= self._wall_clock():
            network = network_of(scope["client"][0]) if scope.get("client") else ""
            found = await self._verify(digest, token, network, known=found is not None)
        if found.per_minute:
            self._check_rate(found)
        return found.caller

    def meter(self, caller: Caller) -> QuotaMeter | None:
        """Counts what a request of this caller uses; None if its key has no quota."""
        if caller.quota is None:
            return None
        key_id = str(caller.key_id)
        return QuotaMeter(lambda: self.state.quotas, self._counters, key_id, caller.quota)

    async def record(self, scope: Scope, status: int) -> None:
        """Add the request to the audit log if it asked for a change. The change is done already, so a
        failure to record it is only logged."""
        facts = facts_of(scope)
        if not facts.change or self._state is None:
            return
        from common.state.audit import Change

        change = Change(
            action=facts.change,
            route=f"{scope['method']} {scope['path']}",
            object=facts.target,
            status=status,
            code=facts.code,
            key_id=facts.caller.key_id,
            request_id=facts.request_id,
        )
        try:
            await to_thread.run_sync(self._state.audit.record, change, limiter=self._recorders)
        except StoryHashError as error:
            _log.error("%s is not in the audit log: %s", change, error)

    async def _key_exists(self) -> bool:
        """Whether any key exists. "No" may be some seconds old; "yes" is final, because rows of keys are
        never deleted."""
        if not self._once_one_exists:
            return False
        now = self._clock()
        if now - self._asked_at >= REMEMBERED_SECONDS:
            keys = self.state.keys
            if await to_thread.run_sync(keys.exists, limiter=self._limiter):
                self._required = True
                return True
            self._asked_at = now
        return False

    async def _verify(self, digest: bytes, token: bytes, network: str, *, known: bool) -> _Verified:
        keys, most = self.state.keys, self._settings.max_failed_keys_per_minute
        # Callers that guess keys are slowed down. A key that was valid a moment ago is not affected by
        # other callers of the same network.
        if most and not known and (wait := self._failures.exceeded(network, most)):
            raise _too_many("too many unknown keys came from your address", wait)
        before = self._forgotten
        text = token.decode("ascii", "replace")
        key = await to_thread.run_sync(keys.verify, text, limiter=self._limiter)
        if key is None:
            self._verified.pop(digest, None)
            if most:
                self._failures.wait(network, most)
            _log.warning("refused an unknown, expired or revoked key from %s", network)
            raise _unauthorized(
                "the API key is unknown, expired or revoked; `storyhash keys list` shows the keys",
                ', error="invalid_token"',
            )
        verified = self._to_verified(key)
        if before == self._forgotten:
            self._verified[digest] = verified
            self._verified.move_to_end(digest)
            if len(self._verified) > MAX_REMEMBERED:
                self._verified.popitem(last=False)
        return verified

    def _to_verified(self, key: Key) -> _Verified:
        default = self._settings.requests_per_minute
        return _Verified(
            Caller(key.id, key.role, key.banks, key.name, key.quota or None),
            default if key.requests_per_minute is None else key.requests_per_minute,
            self._clock() + REMEMBERED_SECONDS,
            math.inf if key.expires_at is None else key.expires_at / 1000,
        )

    def _check_rate(self, verified: _Verified) -> None:
        wait = self._requests.wait(str(verified.caller.key_id), verified.per_minute)
        if wait:
            raise _too_many(f"the key may send {verified.per_minute} requests per minute", wait)


def _bearer(given: Sequence[Any]) -> bytes | None:
    """The key of one Authorization header; None if there is no such header or more than one."""
    if len(given) != 1:
        return None
    scheme, _, token = bytes(given[0]).partition(b" ")
    token = token.strip()
    return token if scheme.lower() == b"bearer" and token else None


def _unauthorized(message: str, detail: str) -> ApiError:
    headers = {"WWW-Authenticate": f'Bearer realm="storyhash"{detail}'}
    return ApiError(401, "unauthorized", message, close=True, headers=headers)


def _too_many(message: str, wait_seconds: float) -> ApiError:
    wait = math.ceil(wait_seconds)
    return ApiError(
        429,
        "too_many_requests",
        f"{message}; try again in {wait} s",
        close=True,
        headers={"Retry-After": str(wait)},
    )
