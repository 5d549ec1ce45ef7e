"""Every response has an id and headers for browsers; a request may have a line of JSON in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.responses import Response

from common.http.health import Health
from common.http.server import new_app
from common.logs import ACCESS_LOGGER
from common.metrics import Metrics
from common.settings import HttpSettings
from common.state.roles import Role
from tests.support.keys import access_over, key_of, opened_state
from tests.support.queries import Client


def app_of(settings: HttpSettings) -> FastAPI:
    metrics = Metrics.create("test")
    app = new_app("test", Health(metrics, (), 60.0), metrics, settings)

    @app.get("/data/{name}")
    def data(name: str) -> Response:
        if name == "broken":
            raise ValueError(name)
        return Response(b"12345", headers={"Cache-Control": "max-age=60"} if name == "kept" else {})

    return app


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is written to the access log."""
    written: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record.getMessage())

    logger, handler = logging.getLogger(ACCESS_LOGGER), Handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize("path", ["/data/a", "/nowhere", "/livez", "/data/broken"])
def test_every_response_has_an_id_of_its_own(path: str) -> None:
    with Client(app_of(HttpSettings())) as client:
        ids = [client.get(path).headers["X-Request-ID"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(len(one) == 16 for one in ids)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-1.2_3:4", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("", False),
        ("a b", False),
        ('"}{', False),
        ("caf\xe9", False),
    ],
)
def test_an_id_that_is_well_formed_is_kept(given: str, kept: bool) -> None:
    with Client(app_of(HttpSettings())) as client:
        headers = {"X-Request-ID": given.encode("latin-1")}
        told = client.get("/data/a", headers=headers).headers["X-Request-ID"]
    assert (told == given) is kept


def test_browsers_keep_frame_and_guess_nothing() -> None:
    with Client(app_of(HttpSettings())) as client:
        headers = client.get("/data/a").headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert client.get("/data/kept").headers["Cache-Control"] == "max-age=60"


def test_a_request_is_one_line_of_json_without_its_query(lines: list[str], tmp_path: Path) -> None:
    with Client(app_of(HttpSettings(access_log=True))) as client:
        client.get("/data/a%0Ab?token=secret", headers={"X-Request-ID": "mine"})
        client.get("/data/broken")
        client.get("/nowhere")
    told = [json.loads(line) for line in lines]
    assert [(one["method"], one["path"], one["status"]) for one in told] == [
        ("GET", "/data/a\nb", 200),
        ("GET", "/data/broken", 500),
        ("GET", "/nowhere", 404),
    ]
    assert (told[0]["request_id"], told[0]["bytes"], told[0]["key_id"]) == ("mine", 5, None)
    assert all("\n" not in line and "secret" not in line for line in lines)


def test_the_log_names_the_key_and_never_shows_it(lines: list[str], tmp_path: Path) -> None:
    settings = HttpSettings(access_log=True, require_keys="always")
    metrics = Metrics.create("test")
    with opened_state(tmp_path / "data") as state:
        key = key_of(state, Role.READER)
        access = access_over(state, settings)
        app = new_app("test", Health(metrics, (), 60.0), metrics, settings, access)
        with Client(app) as client:
            client.get("/openapi.json", headers=key)
            client.get("/openapi.json")
    told = [json.loads(line) for line in lines]
    token = key["Authorization"].removeprefix("Bearer ")
    assert [(one["key_id"], one["status"]) for one in told] == [(token[3:15], 200), (None, 401)]
    assert token not in "".join(lines)


def test_without_the_setting_nothing_is_logged(lines: list[str]) -> None:
    with Client(app_of(HttpSettings())) as client:
        client.get("/data/a")
    assert lines == []
