"""`/v1/audit`: the audit log."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from common.http.access import Access
from common.http.errors import json_response
from common.http.roles import needs
from common.state.roles import Role

_MAX_ID = 2**63 - 1


class AuditItem(BaseModel):
    """One change that was requested. `key_id` is null if no key was required; `code` is that of the
    error, empty if there was none."""

    id: int
    at: str
    key_id: str | None
    action: str = Field(description="Such as `videos.delete`.")
    route: str
    object: str = Field(description="Id of what was changed.")
    status: int
    code: str
    request_id: str


class AuditPage(BaseModel):
    """Changes, newest first."""

    items: list[AuditItem]
    next_cursor: int | None


def audit_router(access: Access, errors: dict[int | str, dict[str, Any]]) -> APIRouter:
    """The route of the audit log. errors: the error responses in the service's OpenAPI document."""
    router = APIRouter(tags=["audit"])
    limiter = CapacityLimiter(1)

    @router.get(
        "/v1/audit",
        dependencies=needs(Role.ADMIN, all_banks=True),
        responses={200: {"model": AuditPage}, **errors},
    )
    async def list_changes(
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
        cursor: Annotated[
            int | None,
            Query(ge=1, le=_MAX_ID, description="`next_cursor` of the previous page."),
        ] = None,
    ) -> Response:
        """List the requested changes, newest first."""
        items, following = await to_thread.run_sync(
            access.state.audit.page, cursor, limit, limiter=limiter
        )
        return json_response({"items": items, "next_cursor": following})

    return router
