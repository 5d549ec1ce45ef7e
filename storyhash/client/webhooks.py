"""Verifies the events that a service sends to a webhook, in the receiver."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from common.errors import WebhookSignatureError
from common.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, signature

# A message that is older, or newer, is refused: somebody may have recorded it.
TOLERANCE_SECONDS = 300


def verify_webhook(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance_seconds: int = TOLERANCE_SECONDS,
    now: float | None = None,
) -> dict[str, Any]:
    """The event of a request: `id`, `type`, `timestamp` and `data`.

    secret: of the webhook. headers: of the request; names in any case. body: exactly the bytes that
    arrived. now: seconds since 1970 (default: the clock). An event may arrive more than once: remember
    the ids of those that you have handled. Raises WebhookSignatureError, ValueError for a secret that is
    none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    missing = [
        name for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER) if name not in given
    ]
    if missing:
        raise WebhookSignatureError(f"the header {missing[0]} is missing")
    sent_at = given[TIMESTAMP_HEADER]
    if not (sent_at.isascii() and sent_at.isdecimal() and len(sent_at) <= 12):
        raise WebhookSignatureError(f"{TIMESTAMP_HEADER}: expected seconds since 1970")
    age = (time.time() if now is None else now) - int(sent_at)
    if abs(age) > tolerance_seconds:
        raise WebhookSignatureError(
            f"the message was sent {abs(age):.0f} s {'ago' if age > 0 else 'from now'}; expected at most "
            f"{tolerance_seconds} s, so check the clock of this machine"
        )
    expected = signature(secret, given[ID_HEADER], int(sent_at), body).encode()
    # There are several while a secret is replaced.
    signatures = given[SIGNATURE_HEADER].encode(errors="replace").split()
    if not any(hmac.compare_digest(one, expected) for one in signatures):
        raise WebhookSignatureError("the signature is wrong: another secret, or a changed message")
    event = json.loads(body)
    if not isinstance(event, dict) or event.get("id") != given[ID_HEADER]:
        raise WebhookSignatureError(f"{ID_HEADER} is not the id of the event")
    return event
