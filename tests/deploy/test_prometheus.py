"""What Prometheus is told: valid, about services there are, and alerts that fire when they should."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.files import (
    PROMETHEUS_CONFIG,
    RULES,
    RULES_TEST,
    alert_expressions,
    alerts,
    image_environment,
    load,
    panel_expressions,
    services,
)
from tests.support.prometheus import promtool


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [promtool(), *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    checked = run("check", "config", PROMETHEUS_CONFIG)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_fire_when_they_should_and_not_otherwise() -> None:
    tested = run("test", "rules", RULES_TEST)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_an_alert_that_never_fires_would_be_seen(tmp_path: Path) -> None:
    text = RULES.read_text()
    assert "storyhash_ready == 0" in text
    (tmp_path / RULES.name).write_text(text.replace("storyhash_ready == 0", "storyhash_ready == 2"))
    spoiled = tmp_path / RULES_TEST.name
    spoiled.write_text(RULES_TEST.read_text())
    tested = run("test", "rules", spoiled)
    assert tested.returncode != 0
    assert "StoryHashNotReady" in tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_is_shown_firing_and_silent(alert: str) -> None:
    told = [
        bool(case.get("exp_alerts"))
        for one in load(RULES_TEST)["tests"]
        for case in one["alert_rule_test"]
        if case["alertname"] == alert
    ]
    assert set(told) == {True, False}


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: str) -> None:
    rule = alerts()[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description"}


def test_every_service_of_ours_that_lasts_is_scraped_where_it_listens() -> None:
    port = image_environment("Dockerfile.cpu")["STORYHASH_HTTP__PORT"]
    reached = {}
    for job in load(PROMETHEUS_CONFIG)["scrape_configs"]:
        for found in job.get("dns_sd_configs", []):
            assert found["type"] == "A"
            reached[job["job_name"]] = [f"{name}:{found['port']}" for name in found["names"]]
        for found in job.get("static_configs", []):
            reached[job["job_name"]] = found["targets"]
    assert reached.pop("prometheus") == ["localhost:9090"]
    assert reached == {name: [f"{name}:{port}"] for name in ("searcher", "embedder", "producer")}
    assert reached.keys() <= services().keys()


def test_expressions_name_only_jobs_there_are() -> None:
    jobs = {job["job_name"] for job in load(PROMETHEUS_CONFIG)["scrape_configs"]}
    named = [
        job
        for one in [*panel_expressions(), *alert_expressions()]
        for wanted in re.findall(r'job=~?"([^"]+)"', one.text)
        for job in wanted.split("|")
    ]
    assert named
    assert set(named) <= jobs


def test_its_retention_is_set_and_its_configuration_is_where_it_looks() -> None:
    prometheus = services()["prometheus"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in prometheus["command"]
    assert "./prometheus:/etc/prometheus:ro" in prometheus["volumes"]
    assert any("retention" in option for option in prometheus["command"])
    assert yaml.safe_load(PROMETHEUS_CONFIG.read_text())["rule_files"] == [RULES.name]
