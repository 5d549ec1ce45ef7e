"""`/v1/snapshots`: backups of a running service, in a folder of its own."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.errors import json_response
from common.http.request_body import no_body
from common.http.roles import needs
from common.state.roles import Role
from searcher.api.maintenance.snapshot_schemas import SnapshotItem, SnapshotPage
from searcher.backup.backups import Backups


def snapshots_router(backups: Backups) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["snapshots"])

    @router.get(
        "/v1/snapshots",
        dependencies=needs(Role.ADMIN, all_banks=True),
        responses={200: {"model": SnapshotPage}, **ERRORS},
    )
    def list_snapshots() -> Response:
        """List the backups: one that is running or has just failed first, then the newest."""
        return json_response({"items": backups.list(), "next_cursor": None})

    @router.post(
        "/v1/snapshots",
        status_code=202,
        dependencies=needs(Role.ADMIN, change="snapshots.create", all_banks=True),
        responses={202: {"model": SnapshotItem}, **ERRORS},
    )
    async def create_snapshot(request: Request) -> Response:
        """Begin a backup of the catalogue, its vectors, the index and the state database. Searches and
        indexing continue. The list shows when it is complete."""
        await no_body(request)
        return json_response(backups.create(), 202)

    return router
