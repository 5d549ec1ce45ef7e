"""`/v1/webhooks`: an admin says where events are sent, and looks after what could not be delivered."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from common.http.access import Access
from common.http.error_schemas import ERRORS
from common.http.errors import ApiError, json_response
from common.http.etag import tagged_response
from common.http.idempotency import IDEMPOTENCY_KEY, made_response, once_of
from common.http.paging import Cursor, Limit, RowNumber, StateThreads, page_json
from common.http.request_body import documented_body, no_body, read_model
from common.http.request_facts import facts_of
from common.http.roles import needs
from common.settings import WebhookSettings
from common.state.roles import Role
from common.state.webhooks import NewWebhook, Webhook
from searcher.api.webhooks.schemas import (
    EVENTS,
    CreatedWebhook,
    DeliveryItem,
    DeliveryPage,
    DeliveryState,
    NewWebhookBody,
    WebhookItem,
    WebhookPage,
)
from searcher.webhooks.sender import check_url

_MAX_JSON_BYTES = 1 << 16
_DELETED = {"description": "The webhook and its deliveries are deleted."}


def webhook_router(access: Access, settings: WebhookSettings) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["webhooks"])
    run = StateThreads().run
    admin = needs(Role.ADMIN, all_banks=True)

    def one(webhook_id: str) -> Webhook:
        webhook = access.state.webhooks.get(webhook_id)
        if webhook is None:
            raise _unknown_webhook(webhook_id)
        return webhook

    @router.post(
        "/v1/webhooks",
        status_code=201,
        dependencies=needs(Role.ADMIN, change="webhooks.create", all_banks=True),
        openapi_extra={**documented_body(NewWebhookBody), "parameters": [IDEMPOTENCY_KEY]},
        responses={201: {"model": CreatedWebhook}, **ERRORS},
    )
    async def create_webhook(request: Request) -> Response:
        """Send events to an address from now on. They are signed with a secret that only this response
        shows."""
        given = await read_model(request, NewWebhookBody, _MAX_JSON_BYTES)
        facts, once = facts_of(request.scope), once_of(request, given.model_dump_json())

        def create() -> tuple[dict[str, Any], bool]:
            check_url(given.url, settings)
            new = NewWebhook(**given.model_dump(), key_id=facts.caller.key_id)
            return access.state.webhooks.create_once(new, once)

        made, replayed = await run(create)
        facts.target = made["id"]
        return made_response(made, 201, f"/v1/webhooks/{made['id']}", replayed=replayed)

    @router.get(
        "/v1/webhooks", dependencies=admin, responses={200: {"model": WebhookPage}, **ERRORS}
    )
    async def list_webhooks(limit: Limit = 100, cursor: Cursor = None) -> Response:
        """List the webhooks, newest first, without their secrets."""
        found, following, total = await run(lambda: access.state.webhooks.page(cursor, limit))
        return json_response(page_json([one.to_json() for one in found], following, total))

    @router.get(
        "/v1/webhooks/{webhook_id}",
        dependencies=admin,
        responses={200: {"model": WebhookItem}, **ERRORS},
    )
    async def show_webhook(webhook_id: str, request: Request) -> Response:
        """Get one webhook, without its secret."""
        return tagged_response(request, (await run(lambda: one(webhook_id))).to_json())

    @router.delete(
        "/v1/webhooks/{webhook_id}",
        status_code=204,
        dependencies=needs(Role.ADMIN, change="webhooks.delete", all_banks=True),
        responses={204: _DELETED, **ERRORS},
    )
    async def delete_webhook(webhook_id: str, request: Request) -> Response:
        """Delete a webhook. What was not delivered is deleted too."""
        await no_body(request)
        if not await run(lambda: access.state.webhooks.delete(webhook_id)):
            raise _unknown_webhook(webhook_id)
        return Response(status_code=204)

    @router.get(
        "/v1/webhooks/{webhook_id}/deliveries",
        dependencies=admin,
        responses={200: {"model": DeliveryPage}, **ERRORS},
    )
    async def list_deliveries(
        webhook_id: str,
        limit: Limit = 100,
        cursor: Cursor = None,
        state: Annotated[
            DeliveryState | None, Query(description="`dead`: only dead letters.")
        ] = None,
    ) -> Response:
        """List the deliveries of a webhook, newest first."""

        def found() -> dict[str, Any]:
            name = one(webhook_id).id
            items, following, total = access.state.deliveries.page(name, state, cursor, limit)
            return page_json([item.to_json() for item in items], following, total)

        return json_response(await run(found))

    @router.get(
        "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}",
        dependencies=admin,
        responses={200: {"model": DeliveryItem}, **ERRORS},
    )
    async def show_delivery(webhook_id: str, delivery_id: RowNumber, request: Request) -> Response:
        """Get one delivery, with its event."""
        found = await run(lambda: access.state.deliveries.get(webhook_id, delivery_id))
        if found is None:
            raise _unknown_delivery(webhook_id, delivery_id)
        return tagged_response(request, found.to_json())

    @router.post(
        "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
        status_code=202,
        dependencies=needs(Role.ADMIN, change="webhooks.redeliver", all_banks=True),
        responses={202: {"model": DeliveryItem}, **ERRORS},
    )
    async def redeliver(webhook_id: str, delivery_id: RowNumber, request: Request) -> Response:
        """Send an event again, with the same id, for example a dead letter."""
        await no_body(request)
        found = await run(lambda: access.state.deliveries.redeliver(webhook_id, delivery_id))
        if found is None:
            raise _unknown_delivery(webhook_id, delivery_id)
        return json_response(found.to_json(), 202)

    return router


def document_events(app: FastAPI) -> None:
    """Describe the events in the OpenAPI document, as its `webhooks`."""
    for name, model in EVENTS.items():

        def event(body: BaseModel) -> None:
            """Never called; it describes the event."""

        event.__annotations__["body"] = model
        app.webhooks.post(
            name,
            description=model.__doc__,
            responses={200: {"description": "Any status from 200 to 299 accepts the event."}},
        )(event)


def _unknown_webhook(webhook_id: str) -> ApiError:
    return ApiError(
        404, "unknown_webhook", f"no webhook {webhook_id[:100]!r}; /v1/webhooks lists them"
    )


def _unknown_delivery(webhook_id: str, delivery_id: int) -> ApiError:
    return ApiError(
        404,
        "unknown_delivery",
        f"no delivery {delivery_id} of webhook {webhook_id[:100]!r}; its deliveries are listed at "
        "/v1/webhooks/{id}/deliveries",
    )
