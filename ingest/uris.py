"""Telling an address from a path."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")


def is_remote(uri: str) -> bool:
    """Whether `uri` is an address such as https://..., and not a path."""
    return bool(_SCHEME.match(uri))
