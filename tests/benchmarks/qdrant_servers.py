"""Real Qdrant servers on this machine, for benchmarks."""

from __future__ import annotations

import os
import time
from pathlib import Path

from qdrant_client import QdrantClient

from common.errors import UsageError
from tests.support.qdrant_cluster import QdrantCluster

_SETTING = "STORYHASH_TEST_QDRANT_SERVER"
# Looks in a row at which nothing is left to optimise; the optimiser starts a moment after a write.
_LOOKS, _LOOK_SECONDS = 4, 0.5


def server_executable() -> Path:
    """The server's executable. Raises UsageError."""
    named = os.environ.get(_SETTING)
    if not named:
        raise UsageError(f"{_SETTING} does not name the executable of a Qdrant server")
    return Path(named)


def wait_indexed(cluster: QdrantCluster, name: str, longest_seconds: float) -> float:
    """Wait until every node has optimised the collection; the seconds. Raises TimeoutError."""
    began = time.monotonic()
    for url in cluster.urls:
        client = QdrantClient(url=url, timeout=60, check_compatibility=False)
        looks = 0
        while looks < _LOOKS:
            looks = looks + 1 if client.get_collection(name).status.value == "green" else 0
            if time.monotonic() - began > longest_seconds:
                raise TimeoutError(f"{name} is not indexed after {longest_seconds:.0f} s")
            time.sleep(_LOOK_SECONDS)
        client.close()
    return round(time.monotonic() - began, 1)
