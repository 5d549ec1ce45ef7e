"""Logs: JSON with the ids of what a line is about, and no noise of the Kafka client."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from common.http.health import Health
from common.http.server import HttpServer, new_app
from common.log_context import REQUEST_ID_HEADER, current_log_context, log_context
from common.logs import start_logging
from common.metrics import Metrics
from common.settings import HttpSettings, ServiceSettings

_log = logging.getLogger("storyhash.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    yield
    root.handlers = before
    root.setLevel(level)
    for name in ("storyhash", "kafka", "kafka.net", "opentelemetry.exporter"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_json_line_has_level_logger_message_and_the_ids_around_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    start_logging(ServiceSettings(log_format="json", log_level="warning"))
    with log_context(request_id="r1"), log_context(video_id="a\nb.mp4", trace_id="t1"):
        _log.warning("%s: damaged\x1b[2J", "a.mp4")
        _log.info("too quiet")
    try:
        raise ValueError("bad")
    except ValueError:
        _log.exception("failed")
    first, second = events(capsys)
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "warning",
        "logger": "storyhash.test",
        "message": "a.mp4: damaged\x1b[2J",
        "request_id": "r1",
        "video_id": "a\nb.mp4",
        "trace_id": "t1",
    }
    assert second["level"] == "error"
    assert second["exception"].endswith("ValueError: bad")
    assert "request_id" not in second


def test_lines_logged_in_a_thread_of_a_request_have_its_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    start_logging(ServiceSettings(log_format="json"))
    metrics = Metrics.create("test")
    app: FastAPI = new_app("test", Health(metrics, (), 600), metrics)

    @app.get("/work")
    def work() -> str:
        # FastAPI calls it in a thread.
        _log.info("working")
        return current_log_context()["request_id"]

    with HttpServer(app, HttpSettings(port=0)) as server:
        answer = httpx.get(f"{server.url}/work", headers={REQUEST_ID_HEADER: "from-a-proxy"})
    assert answer.json() == "from-a-proxy"
    (event,) = [one for one in events(capsys) if one["logger"] == "storyhash.test"]
    assert event["request_id"] == "from-a-proxy"
    assert current_log_context() == {}


def test_clients_do_not_log_each_attempt_to_connect(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging()
    logging.getLogger("kafka.net.manager").error("Connection failed")
    logging.getLogger("kafka.coordinator").warning("rebalancing")
    logging.getLogger("kafka.coordinator").error("the group is gone")
    # Of a broker that hangs: our own line says so.
    for name in ("kafka.cluster", "kafka.consumer.fetcher"):
        logging.getLogger(name).error(
            "failed [Error 7] RequestTimedOutError: Request timed out after %d ms", 4999
        )
        logging.getLogger(name).error("Fetch failed: KafkaConnectionError: Connection timed out")
    logging.getLogger("kafka.producer.transaction_manager").error(
        "Fatal Error handling request InitProducerIdRequest: KafkaError: Could not execute: Cancelled"
    )
    logging.getLogger("opentelemetry.exporter.otlp").warning("retrying in 1 s")
    logging.getLogger("opentelemetry.exporter.otlp").error("Failed to export spans")
    assert [line.split(": ")[-1] for line in capsys.readouterr().err.splitlines()] == [
        *("the group is gone", "Failed to export spans")
    ]


def test_an_error_of_the_kafka_client_that_repeats_is_logged_once_per_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("common.logs.time.monotonic", lambda: now)
    start_logging(ServiceSettings(log_format="json"))
    cluster = logging.getLogger("kafka.cluster")
    for waited in (14999, 9998, 9999):
        cluster.error("Metadata refresh: timed out after %d ms", waited)
    cluster.error("another error")
    for _ in range(2):
        _log.error("ours is never left out")
    now = 161.0
    cluster.error("Metadata refresh: timed out after 5 ms")
    assert [one["message"] for one in events(capsys)] == [
        "Metadata refresh: timed out after 14999 ms",
        "another error",
        "ours is never left out",
        "ours is never left out",
        "Metadata refresh: timed out after 5 ms (2 more like this since the last one)",
    ]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_warning_that_repeats_is_logged_once_per_minute_and_counted(
    log_format: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("common.logs.time.monotonic", lambda: now)
    start_logging(ServiceSettings(log_format=log_format))
    down = "Qdrant at a:6333 does not respond"

    def said() -> list[str]:
        lines = capsys.readouterr().err.splitlines()
        if log_format == "json":
            return [json.loads(line)["message"] for line in lines]
        return [line.split("storyhash.test: ")[1] for line in lines]

    for pause in (1.0, 2.0, 4.0):
        _log.warning("%s; retrying in %.1f s", down, pause)
    # Of another video, though they differ only in a number; and in the ids around them.
    for name in ("1.mp4", "2.mp4"):
        _log.warning("%r: not indexed", name)
        with log_context(video_id=name):
            _log.warning("no picture")
    for _ in range(2):
        _log.error("an error is never left out")
        _log.info("nor is what is no warning")
    assert said() == [
        f"{down}; retrying in 1.0 s",
        *("'1.mp4': not indexed", "no picture", "'2.mp4': not indexed", "no picture"),
        *("an error is never left out", "nor is what is no warning") * 2,
    ]
    now = 161.0
    _log.warning("%s; retrying in %.1f s", down, 30.0)
    assert said() == [f"{down}; retrying in 30.0 s (2 more like this since the last one)"]
    now = 222.0
    _log.warning("%s; retrying in %.1f s", down, 30.0)
    assert said() == [f"{down}; retrying in 30.0 s"]
