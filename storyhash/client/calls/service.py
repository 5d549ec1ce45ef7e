"""Health and metrics."""

from __future__ import annotations

from common.http.health import Liveness, Readiness
from storyhash.client.call import Call, as_model, as_text, operation


@operation("GET", "/livez")
def liveness() -> Call[Liveness]:
    """Whether the service works."""
    return Call(as_model(Liveness), accept=(503,))


@operation("GET", "/readyz")
def readiness() -> Call[Readiness]:
    """Whether the service can answer, and what it waits for."""
    return Call(as_model(Readiness), accept=(503,))


@operation("GET", "/metrics")
def metrics() -> Call[str]:
    """All metrics in the Prometheus text format."""
    return Call(as_text)
