"""A receiver trusts only what the service sent just now."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.errors import WebhookSignatureError
from common.webhook_signature import signature
from storyhash.client.webhooks import TOLERANCE_SECONDS, verify_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_614_265_330
EVENT = {"id": "evt_1", "type": "video.deleted", "data": {}}
BODY = json.dumps(EVENT).encode()


def headers(**changed: str) -> dict[str, str]:
    given = {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(NOW),
        "Webhook-Signature": signature(SECRET, "evt_1", NOW, BODY),
    }
    return {name: value for name, value in {**given, **changed}.items() if value}


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of the Standard Webhooks reference libraries."""
    made = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", NOW, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_event_is_read_from_what_the_service_sent() -> None:
    assert verify_webhook(SECRET, headers(), BODY, now=NOW) == EVENT
    late = NOW + TOLERANCE_SECONDS
    assert verify_webhook(SECRET, headers(), BODY, now=late) == EVENT
    both = {"Webhook-Signature": f"v1,AAAA v2,x {headers()['Webhook-Signature']}"}
    assert verify_webhook(SECRET, headers(**both), BODY, now=NOW) == EVENT


@pytest.mark.parametrize(
    ("changed", "body", "now"),
    [
        # Forged, changed, and under another id or time.
        ({"Webhook-Signature": "v1,AAAA"}, BODY, NOW),
        ({"Webhook-Signature": "v1,é"}, BODY, NOW),
        ({}, BODY + b" ", NOW),
        ({"Webhook-Id": "evt_2"}, BODY, NOW),
        ({"Webhook-Timestamp": str(NOW + 1)}, BODY, NOW),
        # Sent again by somebody who recorded it, or from the future.
        ({}, BODY, NOW + TOLERANCE_SECONDS + 1),
        ({}, BODY, NOW - TOLERANCE_SECONDS - 1),
        # Not a message.
        ({"Webhook-Timestamp": "now"}, BODY, NOW),
        ({"Webhook-Timestamp": "9" * 5000}, BODY, NOW),
        ({"Webhook-Id": ""}, BODY, NOW),
        ({"Webhook-Timestamp": ""}, BODY, NOW),
        ({"Webhook-Signature": ""}, BODY, NOW),
    ],
)
def test_what_is_forged_or_old_is_refused(changed: Any, body: bytes, now: int) -> None:
    with pytest.raises(WebhookSignatureError):
        verify_webhook(SECRET, headers(**changed), body, now=now)


@pytest.mark.parametrize(("late", "words"), [(400, "400 s ago"), (-400, "400 s from now")])
def test_an_event_at_the_wrong_time_says_how_wrong_it_is(late: int, words: str) -> None:
    with pytest.raises(WebhookSignatureError, match=f"sent {words}; expected at most 300 s"):
        verify_webhook(SECRET, headers(), BODY, now=NOW + late)


def test_another_secret_verifies_nothing() -> None:
    other = "whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    with pytest.raises(WebhookSignatureError, match="another secret"):
        verify_webhook(other, headers(), BODY, now=NOW)
    with pytest.raises(ValueError, match="whsec_"):
        verify_webhook("whsec_no base64", headers(), BODY, now=NOW)


def test_a_signed_body_must_name_its_id() -> None:
    body = b'{"id": "evt_9"}'
    signed = headers(**{"Webhook-Signature": signature(SECRET, "evt_1", NOW, body)})
    with pytest.raises(WebhookSignatureError, match="not the id"):
        verify_webhook(SECRET, signed, body, now=NOW)
