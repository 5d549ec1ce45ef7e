"""`/v1/audit`: the audit log."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from common.http.access import Access
from common.http.error_schemas import ERRORS
from common.http.errors import json_response
from common.http.paging import Cursor, LongLimit, StateThreads
from common.http.roles import needs
from common.state.roles import Role


class AuditItem(BaseModel):
    """One change that was requested. `key_id` is null if no key was required; `code` is that of the
    error, empty if there was none."""

    id: int
    at: str
    key_id: str | None
    action: str = Field(description="For example `videos.delete`.")
    route: str
    object: str = Field(description="Id of what was changed.")
    status: int
    code: str
    request_id: str


class AuditPage(BaseModel):
    """Changes, newest first."""

    items: list[AuditItem]
    next_cursor: int | None


def audit_router(access: Access) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["audit"])
    run = StateThreads(1).run

    @router.get(
        "/v1/audit",
        dependencies=needs(Role.ADMIN, all_banks=True),
        responses={200: {"model": AuditPage}, **ERRORS},
    )
    async def list_changes(limit: LongLimit = 100, cursor: Cursor = None) -> Response:
        """List the requested changes, newest first."""
        items, following = await run(lambda: access.state.audit.page(cursor, limit))
        return json_response({"items": items, "next_cursor": following})

    return router
