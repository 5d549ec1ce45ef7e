"""Builds the clients of Qdrant servers, and checks that the versions fit together."""

from __future__ import annotations

import warnings
from importlib.metadata import version

from qdrant_client import QdrantClient
from qdrant_client.common.version_check import is_compatible

from common.errors import DependencyError
from common.uris import without_passwords


def checked_client(url: str, key: str | None, timeout_seconds: int) -> QdrantClient:
    """A client whose version fits the server's."""
    with warnings.catch_warnings():
        # The client warns of a key over plain HTTP, which is usual inside a private network.
        warnings.simplefilter("ignore", UserWarning)
        # Its own check of versions only warns, and does so in a thread; the check below raises.
        client = QdrantClient(
            url=url, api_key=key, timeout=max(1, timeout_seconds), check_compatibility=False
        )
    try:
        check_versions(without_passwords(url), client.info().version)
    except BaseException:
        client.close()
        raise
    return client


def check_versions(where: str, server: str) -> None:
    """Raises DependencyError unless Qdrant supports this client with a server of this version: their
    minor versions differ by at most one."""
    client = version("qdrant-client")
    if not is_compatible(client, server):
        raise DependencyError(
            f"Qdrant at {where} has version {server}, and the installed qdrant-client {client} supports "
            "servers that differ by at most one minor version; update the server, or install a "
            "qdrant-client for it"
        )
