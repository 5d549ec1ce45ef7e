"""Prometheus metrics of HTTP requests and of the queues they wait in."""

from __future__ import annotations

from prometheus_client import Counter, Histogram
from starlette.types import Scope

from common.metrics import Metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Any other text of a caller: a method, or a path that no route has.
_OTHER = "(other)"


class RequestObserver:
    """Counts requests by route template and status. Use it from one event loop.

    The number of series is bounded by the routes, the methods and the statuses that exist.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        # Finding a series by its labels takes longer than counting.
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def begin(self) -> None:
        """A request has arrived."""
        self._metrics.http_requests_in_progress.inc()

    def end(self, scope: Scope, status: int, seconds: float) -> None:
        """Its response is complete, or its client has disconnected. seconds: its duration."""
        self._metrics.http_requests_in_progress.dec()
        counter, histogram = self._of(scope["method"], route_of(scope), status)
        counter.inc()
        histogram.observe(seconds)

    def _of(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        found = self._series.get((method, route, status))
        if found is None:
            shown = method if method in _METHODS else _OTHER
            found = (
                self._metrics.http_requests_total.labels(shown, route, str(status)),
                self._metrics.http_request_duration_seconds.labels(shown, route),
            )
            if shown is method:
                self._series[method, route, status] = found
        return found


def route_of(scope: Scope) -> str:
    """The template of the route that answers a request, such as /v1/videos/{video_id}."""
    return getattr(scope.get("route"), "path", None) or _OTHER


class QueueMetrics:
    """The metrics of one queue of requests."""

    def __init__(self, metrics: Metrics, queue: str) -> None:
        self.running = metrics.queue_running_requests.labels(queue)
        self.waiting = metrics.queue_waiting_requests.labels(queue)
        self.refused = metrics.queue_refused_requests_total.labels(queue)
