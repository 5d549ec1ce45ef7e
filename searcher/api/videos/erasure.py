"""`GET /v1/videos/{id}/erasure`: where a deleted video was looked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from common.http.error_schemas import ERRORS
from common.http.errors import json_response, not_here
from common.http.roles import needs
from common.state.roles import Role
from common.state.state import State
from searcher.api.video_path import VIDEO_ID, PartOfVideo
from searcher.api.videos.schemas import ErasureReceipt
from searcher.deletion.receipt import erasure_receipt
from searcher.serving import Catalogue


def erasure_router(
    catalogue: Catalogue,
    state: Callable[[], State] | None,
    backups: Path | None,
    *,
    only_answers: bool,
) -> APIRouter:
    """The route. state: None if nothing is kept beside the index; backups: their folder, if there is
    one; only_answers: this process has no data folder to look into."""
    router = APIRouter(tags=["videos"], route_class=PartOfVideo)

    @router.get(
        f"/v1/videos/{VIDEO_ID}/erasure",
        dependencies=needs(Role.WRITER, all_banks=True),
        responses={200: {"model": ErasureReceipt}, **ERRORS},
    )
    def erasure(video_id: str) -> Response:
        """The erasure receipt: look for a video in the catalogue, the index, the mirror, the snapshots,
        the state database and the backups. It is `erased` if nothing is found; soon after a deletion, the
        snapshots may still be waiting."""
        if only_answers:
            raise not_here("this service only answers; ask the one that indexes")
        answering = catalogue.current()
        second = None if answering.second is None else answering.second.index
        known = None if state is None else state()
        receipt = erasure_receipt(answering.index, video_id, known, backups, second)
        return json_response(receipt.to_json())

    return router
