"""Lets the apps of ended tests go.

FastAPI remembers of the last 4096 endpoints whether they are coroutines, and an endpoint holds its app.
So dozens of apps stay, each with its index and its state database, and the garbage collector looks
through all of them again and again.
"""

from __future__ import annotations

from fastapi.dependencies import models


def forget_endpoints() -> None:
    """Empty what FastAPI remembers of endpoints; of those that are called again it finds it out again."""
    for remembered in vars(models).values():
        if hasattr(remembered, "cache_clear"):
            remembered.cache_clear()
