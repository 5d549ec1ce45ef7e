"""Requires an API key if keys are required. A route that declares no role answers nobody."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import StoryHashError
from common.http.access import Access
from common.http.errors import ApiError, to_response
from common.http.request_facts import facts_of
from common.settings import HttpSettings

# Load balancers and Kubernetes have no key, and the responses reveal nothing about the catalogue.
_OPEN = frozenset({"/livez", "/readyz"})
_METRICS = "/metrics"
# Routes that any key may call although they declare no role.
_ANY_ROLE = frozenset({"/openapi.json", _METRICS})
_FORBIDDEN_METRICS = ApiError(
    403, "forbidden", "metrics need a key for all banks, but the key is limited to some banks"
)


class KeyGuard:
    """Identifies the caller, counts what it uses and records changes in the audit log. The routes
    themselves check roles."""

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        settings: HttpSettings,
        open_paths: frozenset[str] = frozenset(),
    ) -> None:
        """open_paths: further paths that need no key."""
        self._app = app
        self._access = access
        health = _OPEN if settings.metrics_need_key else _OPEN | {_METRICS}
        self._open = health | open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._open:
            await self._app(scope, receive, send)
            return
        facts = facts_of(scope)
        try:
            facts.caller = await self._access.caller(scope)
            facts.meter = self._access.meter(facts.caller)
        except StoryHashError as error:
            await to_response(error)(scope, receive, send)
            return
        if scope["path"] == _METRICS and facts.caller.banks is not None:
            await to_response(_FORBIDDEN_METRICS)(scope, receive, send)
            return

        recorded = False

        async def checked(message: Message) -> None:
            nonlocal recorded
            if message["type"] == "http.response.start":
                _check_declared(scope, message["status"], declared=facts.role_checked)
                # The change is on disk in the audit log before the caller gets the response.
                recorded = True
                await self._access.record(scope, message["status"])
                if facts.meter is not None:
                    message.setdefault("headers", [])
                    await facts.meter.end(message["status"], MutableHeaders(scope=message))
            await send(message)

        try:
            counted = receive if facts.meter is None else facts.meter.receive(receive)
            await self._app(scope, counted, checked)
        except Exception:
            if not recorded:
                await self._access.record(scope, 500)
                if facts.meter is not None:
                    await facts.meter.end(500, MutableHeaders())
            raise


def _check_declared(scope: Scope, status: int, *, declared: bool) -> None:
    if status < 300 and not declared and scope["path"] not in _ANY_ROLE:
        raise RuntimeError(f"{scope['path']} has no role: declare one by `needs` of its route")
