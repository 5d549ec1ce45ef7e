"""Which role a route requires, declared beside the route."""

from __future__ import annotations

from fastapi import Security, params
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from common.http.errors import ApiError
from common.http.request_facts import facts_of
from common.state.roles import Role

_SCHEME = "key"
_DESCRIPTION = (
    "An API key: `Authorization: Bearer sh_...`. The scope of a route is the least role that may "
    "call it."
)


def needs(role: Role, *, change: str = "", all_banks: bool = False) -> list[params.Depends]:
    """A route's `dependencies`. change: the action that the audit log records. all_banks: refuse a key
    that is limited to banks, because the route is about all of them."""
    return [Security(RoleCheck(role, change, all_banks), scopes=[role.value])]


class RoleCheck(SecurityBase):
    """Refuses callers of a lesser role with 403. It also puts the scheme into the OpenAPI document."""

    def __init__(self, role: Role, change: str, all_banks: bool) -> None:
        self.model = HTTPBearer(bearerFormat="sh_...", description=_DESCRIPTION)
        self.scheme_name = _SCHEME
        self._role = role
        self._change = change
        self._all_banks = all_banks

    async def __call__(self, request: Request) -> None:
        """Raises ApiError (403)."""
        facts = facts_of(request.scope)
        facts.role_checked = True
        facts.change = self._change
        facts.target = facts.target or "/".join(map(str, request.path_params.values()))
        caller = facts.caller
        if not caller.role.includes(self._role):
            raise ApiError(
                403,
                "forbidden",
                f"this needs the role {self._role}, and the key has the role {caller.role}; use another "
                "key",
                close=True,
            )
        if self._all_banks and caller.banks is not None:
            raise ApiError(
                403,
                "forbidden",
                "this is about all banks, and the key is limited to "
                f"{', '.join(map(repr, sorted(caller.banks)))}; use another key",
                close=True,
            )


def banks_for(request: Request, asked: frozenset[str]) -> frozenset[str] | None:
    """The banks that a request is about: those asked for, else all that its key may see; None means all.
    Raises ApiError (403) for another bank."""
    allowed = facts_of(request.scope).caller.banks
    if allowed is None:
        return asked or None
    for bank in sorted(asked - allowed):
        raise ApiError(
            403, "forbidden", f"the key is not for bank {bank[:200]!r}; use another key", close=True
        )
    return asked or allowed
