"""Telling an address from a path."""

from __future__ import annotations

import re
from pathlib import Path

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")


def is_remote(uri: str) -> bool:
    """Whether `uri` is an address such as https://..., and not a path."""
    return bool(_SCHEME.match(uri))


def absolute(uri: str, folder: Path | None = None) -> str:
    """An address as it is; a path made absolute, from `folder` or from where the process works."""
    return uri if is_remote(uri) else str((folder or Path()).joinpath(uri).absolute())
