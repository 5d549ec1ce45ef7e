"""Settings of webhooks: events that are sent to other services."""

from __future__ import annotations

from pydantic import Field

from common.settings.group import SettingsGroup


class WebhookSettings(SettingsGroup):
    """Where events may be sent, how often it is tried, and how long deliveries are kept."""

    private_hosts: tuple[str, ...] = Field(
        (),
        description="Host names that a webhook may name although their addresses are private or "
        "loopback, also with http:// (default: none; then only https:// and public addresses).",
    )
    timeout_seconds: float = Field(
        10.0,
        gt=0,
        le=60,
        description="Maximum seconds of one attempt, from the lookup to the answer.",
    )
    first_retry_seconds: float = Field(
        5.0,
        gt=0,
        description="Pause after the first failed attempt. Each pause is twice as long as the one "
        "before, up to an hour.",
    )
    max_attempts: int = Field(
        15, ge=1, le=100, description="Attempts before a delivery becomes a dead letter."
    )
    max_age_hours: float = Field(
        24.0, gt=0, description="Hours after which an undelivered event becomes a dead letter."
    )
    keep_days: int = Field(
        7,
        ge=1,
        description="Days that deliveries are kept after they succeeded or became dead letters.",
    )
