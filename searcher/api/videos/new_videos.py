"""`POST /v1/videos`: a video for the catalogue, at an address or as an upload."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from common.errors import UsageError
from common.http.error_schemas import ERRORS
from common.http.errors import ApiError, not_here
from common.http.idempotency import IDEMPOTENCY_KEY, made_response, once_of
from common.http.load_shedding import LoadShedder
from common.http.paging import StateThreads
from common.http.query_parameters import parameters_of
from common.http.request_body import (
    JSON_TYPE,
    as_model,
    content_type,
    documented_body,
    json_object,
    read_model,
)
from common.http.request_facts import facts_of
from common.http.roles import banks_for, needs
from common.http.upload import BODIES, MatchRequest, UploadStore
from common.http.upload_reading import MAX_FORM_BYTES
from common.ids import check_chosen_id, check_video_id, id_in_path
from common.state.curation import NOTHING
from common.state.roles import Role
from common.state.text import dump
from common.types import CatalogEntry
from common.uris import public_uri
from searcher.api.videos.bank_limits import BankLimits
from searcher.api.videos.routes import MAX_VIDEO_JSON_BYTES, video_to_json
from searcher.api.videos.schemas import NewVideo, VideoItem
from searcher.review.reviews import Reviews
from searcher.serving import Catalogue
from searcher.storage.video import Video
from searcher.visible_video import taken_id

# Takes a video on to index it in the background and returns its row as it is until then; when it does,
# the video outlives a crash. Raises UsageError for one that may not be read, FetchError for an address
# that may not be asked.
AddVideo: TypeAlias = Callable[[CatalogEntry], Video]
# The same for a file of `UploadedVideos.taken_in`, with its SHA-256; the uri of its entry is the name
# that its sender gives it. Raises UsageError.
AddUpload: TypeAlias = Callable[[CatalogEntry, Path, str], Video]
# Adding looks names up and writes: its threads are not those of reading or of health.
_AT_WORK, _WAITING = 4, 32
# What a query parameter may hold; a longer one is set by PATCH.
_MAX_METADATA = 4096


class UploadedFields(BaseModel):
    """The query parameters of an upload."""

    model_config = ConfigDict(extra="ignore")
    name: str = Field("", max_length=1000, description="Of an upload: the name of the file.")
    video_id: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="Of an upload: its id (default: made from the bank and the content, so the same file "
        "is the same video).",
    )
    bank: str = Field(
        "default",
        min_length=1,
        max_length=200,
        description="Of an upload: its bank (default: `default`).",
    )
    title: str | None = Field(
        None, max_length=1000, description="Of an upload: its title (default: `name`)."
    )
    metadata: str = Field(
        "{}",
        max_length=_MAX_METADATA,
        description=f"Of an upload: a JSON object of at most {_MAX_METADATA} characters. `PATCH` takes "
        "more.",
    )


_DOCUMENTED: dict[str, Any] = {
    "parameters": [*parameters_of(UploadedFields), IDEMPOTENCY_KEY],
    "requestBody": {
        "required": True,
        "content": {**documented_body(NewVideo)["requestBody"]["content"], **BODIES},
    },
}


def new_videos_router(
    catalogue: Catalogue,
    uploads: UploadStore,
    limits: BankLimits,
    add_video: AddVideo | None,
    add_upload: AddUpload | None,
    reviews: Reviews | None,
) -> APIRouter:
    """The route. Without `add_video` or `add_upload` it returns an error with an explanation. reviews:
    None if nothing is kept beside the index."""
    router = APIRouter(tags=["videos"])
    changes = LoadShedder(_AT_WORK, _WAITING)

    run = StateThreads().run

    async def answer(
        request: Request,
        entry: CatalogEntry,
        sha256: str,
        taken_in: AbstractContextManager[Path | None],
        add: Callable[[Path | None], Video],
    ) -> Response:
        """taken_in: a context in which the file of an upload is there. add: adds the video."""
        facts_of(request.scope).target = entry.video_id
        banks_for(request, frozenset({entry.bank}))
        described = [entry.video_id, entry.uri, entry.bank, entry.title, dict(entry.metadata)]
        once = once_of(request, dump([*described, sha256]))
        key_id = facts_of(request.scope).caller.key_id

        def paid(file: Path | None) -> Video:
            if reviews is None or key_id is None:
                return add(file)
            quotas = reviews.state.quotas
            # Before it is in the queue, as it may leave it at once.
            former = quotas.note_payer(entry.video_id, key_id)
            try:
                video = add(file)
            except BaseException:
                quotas.note_payer(entry.video_id, former)
                raise
            if video.state != "pending":
                quotas.forget_payer(entry.video_id)
            return video

        def add_it() -> dict[str, Any]:
            with taken_in as file, limits.checked(request, entry.video_id, taken_id):
                video = paid(file)
            return video_to_json(
                video, NOTHING if reviews is None else reviews.state.curation.current
            )

        def added() -> tuple[dict[str, Any], bool]:
            if reviews is None:
                return add_it(), False
            answers = reviews.state.answers
            with answers.claimed(once) as known:
                return (known, True) if known is not None else answers.add(once, add_it())

        value, replayed = await changes.answer(request, lambda _: added())
        location = f"/v1/videos/{id_in_path(entry.video_id)}"
        return made_response(value, 202, location, replayed=replayed)

    async def post_address(request: Request) -> Response:
        add = add_video
        if add is None:
            raise _not_here()
        if request.query_params:
            raise UsageError("query parameters describe an upload; put them into the JSON body")
        entry = _entry(await read_model(request, NewVideo, MAX_VIDEO_JSON_BYTES))
        return await answer(request, entry, "", nullcontext(), lambda _: add(entry))

    async def post_upload(request: Request) -> Response:
        add = add_upload
        if add is None:
            raise _not_here()
        given = as_model(UploadedFields, dict(request.query_params))
        metadata = json_object(given.metadata.encode(), "metadata")
        banks_for(request, frozenset({given.bank}))
        if given.video_id is not None:
            check_chosen_id(given.video_id)
        kept_files = catalogue.current().index.uploads
        claimed, most = request.headers.get("content-length", ""), uploads.max_kept_bytes
        size = int(claimed) if claimed.isdigit() and len(claimed) < 20 else 0
        # What surely does not fit is refused before it is sent.
        await run(lambda: kept_files.check_room(max(0, size - MAX_FORM_BYTES), most))
        async with uploads.asked(request, frozenset({"uri"})) as upload:
            path, sha256 = upload.path, upload.sha256
            if path is None:
                raise ValueError("upload: expected a file")
            entry = _uploaded(given, metadata, upload)
            taken_in = kept_files.taken_in(path, most)
            return await answer(
                request, entry, sha256, taken_in, lambda file: add(entry, file or path, sha256)
            )

    @router.post(
        "/v1/videos",
        status_code=202,
        dependencies=needs(Role.WRITER, change="videos.add", quota="bytes"),
        openapi_extra=_DOCUMENTED,
        responses={202: {"model": VideoItem}, **ERRORS},
    )
    async def post_video(request: Request) -> Response:
        """Index the video at an address, or an uploaded one, whose file is kept until the video is
        deleted. It is searchable when its state is `ready`. Posting the same video again does nothing. If
        only its description changed, its vectors are kept."""
        changes.check_capacity(request)
        if content_type(request) == JSON_TYPE:
            return await post_address(request)
        return await post_upload(request)

    return router


def _not_here() -> ApiError:
    return not_here(
        "this service does not index videos that callers send; index them with `storyhash ingest FILE` "
        "(over Kafka), or send them to the service that indexes",
        close=True,
    )


def _entry(given: NewVideo) -> CatalogEntry:
    if given.video_id is None:
        check_video_id(public_uri(given.uri))
    else:
        check_chosen_id(given.video_id)
    video_id = given.video_id or public_uri(given.uri)
    return CatalogEntry(video_id, given.uri, given.bank, given.title, given.metadata)


def _uploaded(
    given: UploadedFields, metadata: Mapping[str, Any], upload: MatchRequest
) -> CatalogEntry:
    """The entry of an upload; its uri is the name of the file. A caller must not learn of files of other
    banks, so the bank is a part of the default id."""
    content = f"{given.bank}\0{upload.sha256}".encode(errors="surrogatepass")
    video_id = given.video_id or f"upload-{hashlib.sha256(content).hexdigest()[:32]}"
    title = upload.name[:1000] if given.title is None else given.title
    return CatalogEntry(video_id, upload.name, given.bank, title, metadata)
