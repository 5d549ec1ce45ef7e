"""`/v1/keys`: an admin creates, lists, limits and revokes API keys."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from common.errors import UsageError
from common.http.access import Access
from common.http.error_schemas import ERRORS
from common.http.errors import ApiError, json_response
from common.http.paging import LongLimit, StateThreads, TextCursor
from common.http.request_body import documented_body, no_body, read_model
from common.http.request_facts import facts_of
from common.http.roles import needs
from common.http.schema import Schema, examples
from common.state.keys import MAX_BANKS, MAX_NAME, MAX_RATE, NewKey
from common.state.quotas import MAX_QUOTA, Quota
from common.state.roles import Role

_MAX_JSON_BYTES = 1 << 16
_MAX_SECONDS = 100 * 366 * 86_400


class NewKeyBody(Schema):
    """A key to create. `banks`: null for all banks. `requests_per_minute`: null for the service's
    default, 0 for no limit. The quotas per day (UTC): null or 0 for no limit."""

    name: str = Field(min_length=1, max_length=MAX_NAME)
    # Not the enum: pydantic puts an enum's schema into `$defs` of this schema, where OpenAPI does not
    # find it.
    role: Literal["reader", "reviewer", "writer", "admin"]
    banks: list[str] | None = Field(None, min_length=1, max_length=MAX_BANKS)
    expires_seconds: int | None = Field(None, ge=1, le=_MAX_SECONDS, strict=True)
    requests_per_minute: int | None = Field(None, ge=0, le=MAX_RATE, strict=True)
    queries_per_day: int | None = Field(None, ge=0, le=MAX_QUOTA, strict=True)
    upload_bytes_per_day: int | None = Field(None, ge=0, le=MAX_QUOTA, strict=True)
    video_seconds_per_day: int | None = Field(None, ge=0, le=MAX_QUOTA, strict=True)


class KeyLimits(Schema):
    """Limits of a key to change; what is not given stays. See NewKeyBody."""

    model_config = examples({"queries_per_day": 1000, "upload_bytes_per_day": 10**10})
    requests_per_minute: int | None = Field(None, ge=0, le=MAX_RATE, strict=True)
    queries_per_day: int | None = Field(None, ge=0, le=MAX_QUOTA, strict=True)
    upload_bytes_per_day: int | None = Field(None, ge=0, le=MAX_QUOTA, strict=True)
    video_seconds_per_day: int | None = Field(None, ge=0, le=MAX_QUOTA, strict=True)


class KeyUse(BaseModel):
    """What a key has used today; the next day begins at `resets_at`."""

    queries: int
    upload_bytes: int
    video_seconds: int = 0
    resets_at: str


class KeyItem(BaseModel):
    """A key without its secret part. `last_used_at` is exact to ten minutes. `used_today`: null if the
    key has no quota."""

    id: str
    name: str
    role: Role
    banks: list[str] | None
    requests_per_minute: int | None
    queries_per_day: int | None = None
    upload_bytes_per_day: int | None = None
    video_seconds_per_day: int | None = None
    used_today: KeyUse | None = None
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class CreatedKey(KeyItem):
    """A new key; `key` is shown only now."""

    key: str


class KeyPage(BaseModel):
    """Keys ordered by id, also revoked and expired ones."""

    items: list[KeyItem]
    next_cursor: str | None


def key_router(access: Access) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["keys"])
    run = StateThreads().run

    @router.post(
        "/v1/keys",
        status_code=201,
        dependencies=needs(Role.ADMIN, change="keys.create", all_banks=True),
        openapi_extra=documented_body(NewKeyBody),
        responses={201: {"model": CreatedKey}, **ERRORS},
    )
    async def create_key(request: Request) -> Response:
        """Create a key. It is stored only as a hash, so the response is the only place that shows it."""
        given = await read_model(request, NewKeyBody, _MAX_JSON_BYTES)
        quota = Quota(
            given.queries_per_day, given.upload_bytes_per_day, given.video_seconds_per_day
        )
        new = NewKey(
            given.name,
            Role(given.role),
            given.banks,
            given.expires_seconds,
            given.requests_per_minute,
            quota,
        )
        key, token = await run(lambda: access.state.keys.create(new))
        facts_of(request.scope).target = key.id
        access.forget()
        return json_response({**key.to_json(), "key": token}, 201)

    @router.get(
        "/v1/keys",
        dependencies=needs(Role.ADMIN, all_banks=True),
        responses={200: {"model": KeyPage}, **ERRORS},
    )
    async def list_keys(limit: LongLimit = 100, cursor: TextCursor = "") -> Response:
        """List all keys, without their secret part."""
        keys, following = await run(lambda: access.state.keys.page(cursor, limit))
        return json_response({"items": [key.to_json() for key in keys], "next_cursor": following})

    @router.patch(
        "/v1/keys/{key_id}",
        dependencies=needs(Role.ADMIN, change="keys.update", all_banks=True),
        openapi_extra=documented_body(KeyLimits),
        responses={200: {"model": KeyItem}, **ERRORS},
    )
    async def limit_key(key_id: str, request: Request) -> Response:
        """Change the limits of a key: this service obeys at once, other services within 5 seconds."""
        given = await read_model(request, KeyLimits, _MAX_JSON_BYTES)
        limits = given.model_dump(exclude_unset=True)
        if not limits:
            raise UsageError(f"the body: expected one of {', '.join(KeyLimits.model_fields)}")
        key = await run(lambda: access.state.keys.limit(key_id, limits))
        access.forget()
        if key is None:
            raise _unknown_key(key_id)
        return json_response(key.to_json())

    @router.delete(
        "/v1/keys/{key_id}",
        status_code=204,
        dependencies=needs(Role.ADMIN, change="keys.revoke", all_banks=True),
        responses={204: {"description": "The key is refused from now on."}, **ERRORS},
    )
    async def revoke_key(key_id: str, request: Request) -> Response:
        """Revoke a key: this service refuses it at once, other services within 5 seconds."""
        await no_body(request)
        known = await run(lambda: access.state.keys.revoke(key_id))
        access.forget()
        if not known:
            raise _unknown_key(key_id)
        return Response(status_code=204)

    return router


def _unknown_key(key_id: str) -> ApiError:
    return ApiError(404, "unknown_key", f"no key {key_id[:100]!r}; /v1/keys lists them")
