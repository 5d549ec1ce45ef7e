"""Cuts long sequences into slices, for example one per SQL statement or request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

# A sequence or an array.
Items = TypeVar("Items", bound=Any)


def slices(items: Items, size: int) -> Iterator[Items]:
    """Slices with `size` items; the last one may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
