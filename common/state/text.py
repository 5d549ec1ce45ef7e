"""Text and JSON in columns, and hashes of texts that are too long for an index."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def plain(text: str) -> str:
    """The text without what a database refuses: PostgreSQL refuses NUL, and both databases refuse half a
    surrogate pair."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def text_hash(text: str) -> str:
    """SHA-256 in hexadecimal. Ids are too long for an index of PostgreSQL, so their hash is indexed."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def dump(value: Any) -> str:
    """A value as JSON in ASCII, so that every text in it may be stored. NaN and infinity become null."""
    text = json.dumps(value, separators=(",", ":"))
    if "NaN" in text or "Infinity" in text:
        text = json.dumps(json.loads(text, parse_constant=lambda _: None), separators=(",", ":"))
    return text


def load(text: str) -> Any:
    """The value of `dump`."""
    return json.loads(text)
