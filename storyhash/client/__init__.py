"""StoryHash services called over HTTP: `Client` and, for asyncio, `AsyncClient`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storyhash.client.client import AsyncClient as AsyncClient
    from storyhash.client.client import Client as Client
    from storyhash.client.retries import Retries as Retries

_MODULES = {"Client": "client", "AsyncClient": "client", "Retries": "retries"}


def __getattr__(name: str) -> Any:
    # Commands import parts of this package and need not wait for all of it.
    if name not in _MODULES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
