"""Signatures of webhook messages, as in the Standard Webhooks specification 1.0.

HMAC-SHA256 over `id.timestamp.body`, in base64 (https://www.standardwebhooks.com). The secret is `whsec_`
and the key in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER = (
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
)
SECRET_PREFIX = "whsec_"
_VERSION = "v1"


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a message, such as `v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=`. timestamp:
    seconds since 1970. Raises ValueError for a secret that is not base64."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("the secret: expected whsec_ and base64") from None
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"{_VERSION},{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"
