"""What is known of one request beside its content: who sent it, its id in logs, what it changes."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from common.state.roles import Role

REQUEST_ID_HEADER = "X-Request-ID"
_IN_SCOPE = "storyhash.request"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. key_id: None where no key is required. banks: None for all banks."""

    key_id: str | None
    role: Role
    banks: frozenset[str] | None

    def may_see(self, bank: str) -> bool:
        """Whether videos of this bank exist for this caller."""
        return self.banks is None or bank in self.banks


# Whoever calls a service that requires no key.
ANYONE = Caller(None, Role.ADMIN, None)


@dataclass(slots=True)
class RequestFacts:
    """Filled in while the request is handled. change: the action that the audit log records, empty for
    a request that changes nothing; target: the id of what is changed. code: of the error,
    if there is one."""

    request_id: str = ""
    caller: Caller = ANYONE
    role_checked: bool = False
    change: str = ""
    target: str = ""
    code: str = ""


def facts_of(scope: Scope) -> RequestFacts:
    """Those of a request; made when they are first asked for."""
    found: RequestFacts = scope.setdefault(_IN_SCOPE, RequestFacts())
    return found
