"""API keys, the audit log and webhooks: for the role `admin`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from common.http.audit_routes import AuditPage
from common.http.key_routes import CreatedKey, KeyItem, KeyLimits, KeyPage, NewKeyBody
from searcher.api.webhooks.schemas import (
    CreatedWebhook,
    DeliveryItem,
    DeliveryPage,
    DeliveryState,
    EventType,
    NewWebhookBody,
    WebhookItem,
    WebhookPage,
)
from storyhash.client.call import Call, as_model, as_nothing, body_of, new_key, operation


@operation("POST", "/v1/keys")
def create_key(
    name: str,
    role: Literal["reader", "reviewer", "writer", "admin"],
    *,
    banks: Sequence[str] | None = None,
    expires_seconds: int | None = None,
    requests_per_minute: int | None = None,
    queries_per_day: int | None = None,
    upload_bytes_per_day: int | None = None,
    video_seconds_per_day: int | None = None,
) -> Call[CreatedKey]:
    """Create a key. Only this answer shows it."""
    body = body_of(
        NewKeyBody,
        name=name,
        role=role,
        banks=None if banks is None else list(banks),
        expires_seconds=expires_seconds,
        requests_per_minute=requests_per_minute,
        queries_per_day=queries_per_day,
        upload_bytes_per_day=upload_bytes_per_day,
        video_seconds_per_day=video_seconds_per_day,
    )
    return Call(as_model(CreatedKey), json=body, repeatable=False)


@operation("GET", "/v1/keys")
def list_keys(*, limit: int = 100, cursor: str | None = None) -> Call[KeyPage]:
    """A page of the keys, without their secret part."""
    return Call(as_model(KeyPage), query={"limit": limit, "cursor": cursor})


@operation("PATCH", "/v1/keys/{key_id}")
def limit_key(key_id: str, limits: KeyLimits) -> Call[KeyItem]:
    """Change the limits of a key that are set in `limits`, also to None."""
    body = limits.model_dump(exclude_unset=True)
    return Call(as_model(KeyItem), path={"key_id": key_id}, json=body)


@operation("DELETE", "/v1/keys/{key_id}")
def revoke_key(key_id: str) -> Call[None]:
    """Revoke a key."""
    return Call(as_nothing, path={"key_id": key_id})


@operation("GET", "/v1/audit")
def list_changes(*, limit: int = 100, cursor: int | str | None = None) -> Call[AuditPage]:
    """A page of the audit log, newest first."""
    return Call(as_model(AuditPage), query={"limit": limit, "cursor": cursor})


@operation("POST", "/v1/webhooks")
def create_webhook(
    url: str,
    *,
    events: Sequence[EventType] | None = None,
    banks: Sequence[str] | None = None,
    description: str | None = None,
    idempotency_key: str | None = None,
) -> Call[CreatedWebhook]:
    """Send events to an address. Only this answer shows the secret."""
    body = body_of(
        NewWebhookBody,
        url=url,
        events=None if events is None else list(events),
        banks=None if banks is None else list(banks),
        description=description,
    )
    return Call(as_model(CreatedWebhook), json=body, once=idempotency_key or new_key())


@operation("GET", "/v1/webhooks")
def list_webhooks(*, limit: int = 100, cursor: str | None = None) -> Call[WebhookPage]:
    """A page of the webhooks, newest first."""
    return Call(as_model(WebhookPage), query={"limit": limit, "cursor": cursor})


@operation("GET", "/v1/webhooks/{webhook_id}")
def show_webhook(webhook_id: str) -> Call[WebhookItem]:
    """One webhook."""
    return Call(as_model(WebhookItem), path={"webhook_id": webhook_id})


@operation("DELETE", "/v1/webhooks/{webhook_id}")
def delete_webhook(webhook_id: str) -> Call[None]:
    """Delete a webhook with what was not delivered."""
    return Call(as_nothing, path={"webhook_id": webhook_id})


@operation("GET", "/v1/webhooks/{webhook_id}/deliveries")
def list_deliveries(
    webhook_id: str,
    *,
    state: DeliveryState | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Call[DeliveryPage]:
    """A page of the deliveries of a webhook, newest first. state: `dead` for dead letters."""
    query = {"limit": limit, "cursor": cursor, "state": state}
    return Call(as_model(DeliveryPage), path={"webhook_id": webhook_id}, query=query)


@operation("GET", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}")
def show_delivery(webhook_id: str, delivery_id: int) -> Call[DeliveryItem]:
    """One delivery, with its event."""
    return Call(as_model(DeliveryItem), path=_delivery(webhook_id, delivery_id))


@operation("POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver")
def redeliver(webhook_id: str, delivery_id: int) -> Call[DeliveryItem]:
    """Send an event again."""
    path = _delivery(webhook_id, delivery_id)
    return Call(as_model(DeliveryItem), path=path, repeatable=False)


def _delivery(webhook_id: str, delivery_id: int) -> dict[str, str | int]:
    return {"webhook_id": webhook_id, "delivery_id": delivery_id}
