"""Checksums of weights, and the ids of models made from them."""

from __future__ import annotations

import hashlib
from pathlib import Path


def weights_checksum(path: Path) -> str:
    """blake2b of a file, 16 hex digits; read in pieces, nothing is kept."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def short_id(name: str, *parts: str) -> str:
    """A name, and a digest (blake2b, 12 hex digits) of all that decides the numbers."""
    return f"{name}-{hashlib.blake2b(chr(10).join(parts).encode(), digest_size=6).hexdigest()}"
