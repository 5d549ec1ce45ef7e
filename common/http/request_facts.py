"""Facts about a request besides its content: caller, id in logs, and what it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import Scope

from common.state.roles import Role

if TYPE_CHECKING:
    from common.http.quota import QuotaMeter
    from common.state.quotas import Quota

# Header of an answer that was given before.
REPLAYED_HEADER = "Idempotency-Replayed"

_IN_SCOPE = "storyhash.request"
# Where a server puts a function that counts its open requests.
OPEN_REQUESTS = "storyhash.open_requests"


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request. key_id, name: of the key; None if no key is required. banks: the allowed
    banks; None means all. quota: None if the key has none."""

    key_id: str | None
    role: Role
    banks: frozenset[str] | None
    name: str | None = None
    quota: Quota | None = None

    def may_see(self, bank: str) -> bool:
        """Whether the caller may see videos of this bank."""
        return self.banks is None or bank in self.banks


# The caller of a service that requires no key.
ANYONE = Caller(None, Role.ADMIN, None)


@dataclass(slots=True)
class RequestFacts:
    """Filled in while the request is processed.

    change: the action for the audit log; empty if the request changes nothing. target: the id of the
    changed object. code: the error code; empty if there is no error. meter: counts what the request uses;
    None if the key has no quota. head_only: only the head of the response is sent.
    """

    request_id: str = ""
    caller: Caller = ANYONE
    role_checked: bool = False
    change: str = ""
    target: str = ""
    code: str = ""
    meter: QuotaMeter | None = None
    head_only: bool = False


def header_of(scope: Scope, name: bytes) -> str | None:
    """The value of the first header of this name, which is in lower case; None if there is none.
    `Request.headers` gives the same, and takes several times as long."""
    for known, value in scope["headers"]:
        if known == name:
            text: str = value.decode("latin-1")
            return text
    return None


def is_alone(scope: Scope) -> bool:
    """Whether the server has no other open request. False if it does not count them."""
    count: Callable[[], int] | None = scope.get(OPEN_REQUESTS)
    return count is not None and count() == 1


def facts_of(scope: Scope) -> RequestFacts:
    """The facts of a request. The first call creates them."""
    found: RequestFacts | None = scope.get(_IN_SCOPE)
    if found is None:
        found = scope[_IN_SCOPE] = RequestFacts()
    return found
