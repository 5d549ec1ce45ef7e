"""A service whose index is in Qdrant is not ready while Qdrant does not respond."""

from __future__ import annotations

from typing import Any

from common.errors import DependencyError
from common.http.health import Health
from storyhash.services.store_watch import StoreWatch


class Index:
    """Its Qdrant responds, or it does not."""

    def __init__(self) -> None:
        self.responds = True

    def check_store(self) -> None:
        if not self.responds:
            raise DependencyError("Qdrant at http://qdrant:6333 does not respond")


def test_readiness_follows_qdrant() -> None:
    first, second = Index(), Index()
    indexes: Any = [first, second]
    health = Health(None, (), 60.0)
    watch = StoreWatch(lambda: indexes, health)
    watch.look()
    assert health.reasons() == {}
    second.responds = False
    watch.look()
    assert health.reasons() == {"qdrant": "Qdrant at http://qdrant:6333 does not respond"}
    second.responds = True
    watch.look()
    assert health.reasons() == {}
