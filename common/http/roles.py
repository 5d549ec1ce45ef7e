"""The role that a route requires. It is declared at the route."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fastapi import Security, params
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from common.http.errors import ApiError
from common.http.query_parameters import check_parameters
from common.http.request_facts import facts_of
from common.state.roles import Role

Costs: TypeAlias = Literal["", "query", "upload", "bytes"]
_SCHEME = "key"
_DESCRIPTION = (
    "An API key: `Authorization: Bearer sh_...`. The scope of a route is the least role that may "
    "call it."
)


def needs(
    role: Role, *, change: str = "", all_banks: bool = False, quota: Costs = ""
) -> list[params.Depends]:
    """The `dependencies` of a route. change: the action for the audit log. all_banks: refuse keys that
    are limited to some banks, because the route concerns all banks. quota: what a request uses of the
    quota of its key: a `query`, the `bytes` of its body, or both (`upload`)."""
    return [Security(RoleCheck(role, change, all_banks, quota), scopes=[role.value])]


class RoleCheck(SecurityBase):
    """Refuses callers with a lower role (403), and adds the security scheme to the OpenAPI document."""

    def __init__(self, role: Role, change: str, all_banks: bool, quota: Costs = "") -> None:
        self.model = HTTPBearer(bearerFormat="sh_...", description=_DESCRIPTION)
        self.scheme_name = _SCHEME
        self._role = role
        self.change = change
        self._all_banks = all_banks
        self._quota = quota

    async def __call__(self, request: Request) -> None:
        """Check the caller's role, banks and quota, and the names of the query parameters. Raises
        ApiError (403, 422, 429)."""
        facts = facts_of(request.scope)
        facts.role_checked = True
        facts.change = self.change
        facts.target = facts.target or "/".join(map(str, request.path_params.values()))
        caller = facts.caller
        if not caller.role.includes(self._role):
            raise _forbidden(
                f"this needs the role {self._role}, but the key has the role {caller.role}"
            )
        if self._all_banks and caller.banks is not None:
            raise _forbidden(
                "this needs a key for all banks, but the key is limited to "
                f"{', '.join(map(repr, sorted(caller.banks)))}"
            )
        check_parameters(request)
        if self._quota and facts.meter is not None:
            query, upload = self._quota != "bytes", self._quota != "query"
            await facts.meter.begin(request.scope, query=query, upload=upload)


def banks_for(request: Request, asked: frozenset[str]) -> frozenset[str] | None:
    """The banks of a request: `asked`, or all that the key may see if `asked` is empty. None means all
    banks. Raises ApiError (403) for a bank that the key may not see."""
    allowed = facts_of(request.scope).caller.banks
    if allowed is None:
        return asked or None
    for bank in sorted(asked - allowed):
        raise _forbidden(f"the key is not for bank {bank[:200]!r}")
    return asked or allowed


def _forbidden(message: str) -> ApiError:
    return ApiError(403, "forbidden", f"{message}; use another key", close=True)
