"""Requests are counted by route template and status, and no caller can add series without end."""

from __future__ import annotations

from collections.abc import Iterable

import httpx

from common.http.health import Health
from common.http.server import HttpServer, new_app
from common.metrics import Metrics
from common.settings import HttpSettings

Request = tuple[str, str]


def metrics_after(requests: Iterable[Request]) -> Metrics:
    """What a service counted that answered these and was stopped.

    A client can have its response before the service has counted it, so the service ends first.
    """
    metrics = Metrics.create("test")
    app = new_app("test", Health(metrics, (), 600), metrics)

    @app.get("/v1/films/{film_id:path}")
    def film(film_id: str) -> str:
        if film_id == "bad":
            raise RuntimeError("unforeseen")
        return film_id

    with (
        HttpServer(app, HttpSettings(port=0)) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        for method, path in requests:
            client.request(method, path)
    return metrics


def counted(metrics: Metrics) -> dict[tuple[str, str, str], float]:
    (family,) = metrics.http_requests_total.collect()
    return {
        (one.labels["method"], one.labels["route"], one.labels["status"]): one.value
        for one in family.samples
        if one.name.endswith("_total")
    }


def test_a_request_is_counted_under_its_route_template_and_status() -> None:
    metrics = metrics_after(
        [
            ("GET", "/v1/films/a"),
            ("GET", "/v1/films/b/c"),
            ("GET", "/v1/films/bad"),
            ("POST", "/v1/films/a"),
            ("HEAD", "/v1/films/a"),
        ]
    )
    route = "/v1/films/{film_id:path}"
    assert counted(metrics) == {
        ("GET", route, "200"): 2,
        ("GET", route, "500"): 1,
        ("POST", route, "405"): 1,
        ("HEAD", route, "200"): 1,
    }
    labels = {"method": "GET", "route": route}
    sample = metrics.registry.get_sample_value
    assert sample("storyhash_http_request_duration_seconds_count", labels) == 3
    bucket = sample("storyhash_http_request_duration_seconds_bucket", labels | {"le": "0.001"})
    assert bucket is not None
    assert sample("storyhash_http_requests_in_progress") == 0


def test_what_callers_make_up_adds_no_series() -> None:
    metrics = metrics_after(
        (method, f"/nowhere/{number}") for number in range(20) for method in ("GET", "PROPFIND")
    )
    assert counted(metrics) == {("GET", "(other)", "404"): 20, ("(other)", "(other)", "404"): 20}


def test_health_and_metrics_are_not_counted() -> None:
    metrics = metrics_after(("GET", path) for path in ("/livez", "/readyz", "/metrics"))
    assert counted(metrics) == {}
