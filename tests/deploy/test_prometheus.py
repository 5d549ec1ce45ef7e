"""What Prometheus is told: valid, about services there are, and alerts that fire when they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import skip_or_fail
from tests.deploy.files import (
    ALERTMANAGER,
    KUBERNETES_CONFIG,
    PROMETHEUS_CONFIG,
    ROOT,
    RULES,
    RULES_TESTS,
    RUNBOOKS,
    SERVE_CONFIG,
    alerts,
    image_environment,
    load,
    panel_expressions,
    rule_expressions,
    services,
)
from tests.support.prometheus import promtool

CONFIGS = (PROMETHEUS_CONFIG, SERVE_CONFIG, KUBERNETES_CONFIG)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [promtool(), *arguments], capture_output=True, text=True, timeout=600, check=False
    )


def test_prometheus_takes_the_configurations_and_the_rules() -> None:
    # Qdrant's key is not on this machine, and Debian's promtool knows no Kubernetes.
    checked = run("check", "config", "--syntax-only", PROMETHEUS_CONFIG, SERVE_CONFIG)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    checked = run("check", "rules", RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alertmanager_takes_the_example() -> None:
    amtool = shutil.which("amtool") or skip_or_fail(
        "alertmanager", "install the package prometheus-alertmanager"
    )
    checked = subprocess.run(
        [amtool, "check-config", ALERTMANAGER],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_fire_when_they_should_and_not_otherwise() -> None:
    tested = run("test", "rules", *RULES_TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_slow_cases_evaluate_recorded_series_before_the_alerts_on_them() -> None:
    # A group that is not listed comes in any order.
    groups = [group["name"] for group in load(RULES)["groups"]]
    assert load(RULES_TESTS[1])["group_eval_order"] == groups


def test_an_alert_that_never_fires_would_be_seen(tmp_path: Path) -> None:
    # Its own rule and its own cases: each minute of a test evaluates every rule of a file.
    alert = "StoryHashNotReady"
    cases = load(RULES_TESTS[0])
    for one in cases["tests"]:
        one["alert_rule_test"] = [
            case
            for case in one["alert_rule_test"]
            if case["alertname"] == alert and case.get("exp_alerts")
        ]
        one.pop("promql_expr_test", None)
    cases["tests"] = [one for one in cases["tests"] if one["alert_rule_test"]]
    test = tmp_path / RULES_TESTS[0].name
    test.write_text(yaml.safe_dump(cases))
    rule = alerts()[alert]
    for expression, fires in ((rule["expr"], True), ("storyhash_ready == 2", False)):
        groups = [{"name": "one", "rules": [rule | {"expr": expression}]}]
        (tmp_path / RULES.name).write_text(yaml.safe_dump({"groups": groups}))
        tested = run("test", "rules", test)
        assert (tested.returncode == 0) == fires, tested.stdout + tested.stderr
    assert alert in tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_is_shown_firing_and_silent(alert: str) -> None:
    told = [
        bool(case.get("exp_alerts"))
        for path in RULES_TESTS
        for one in load(path)["tests"]
        for case in one["alert_rule_test"]
        if case["alertname"] == alert
    ]
    assert set(told) == {True, False}


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: str) -> None:
    rule = alerts()[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_has_a_runbook(alert: str) -> None:
    url = alerts()[alert]["annotations"]["runbook_url"]
    assert url == f"{{{{ $externalLabels.runbooks }}}}#{alert.lower()}"
    section = RUNBOOKS.read_text().partition(f"\n## {alert}\n")[2].partition("\n#")[0]
    for part in ("**Means.**", "**Look at.**", "**Do"):
        assert part in section, f"{RUNBOOKS.name}: ## {alert} has no {part}"


def test_no_runbook_is_about_an_alert_that_is_gone() -> None:
    found = re.findall(r"^## (StoryHash\w+)$", RUNBOOKS.read_text(), re.M)
    assert sorted(found) == sorted(alerts())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_alerts_are_told_where_runbooks_are_and_go_without_that_label(config: Path) -> None:
    given = load(config)
    assert given["global"]["external_labels"] == {"runbooks": str(RUNBOOKS.relative_to(ROOT))}
    assert given["alerting"]["alert_relabel_configs"] == [
        {"regex": "runbooks", "action": "labeldrop"}
    ]


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
    assert reached.pop("qdrant") == ["qdrant:6333"]
    assert reached == {name: [f"{name}:{port}"] for name in ("searcher", "embedder", "producer")}
    assert reached.keys() <= services().keys()


def test_expressions_name_only_jobs_there_are() -> None:
    jobs = {
        job["job_name"]
        for config in (PROMETHEUS_CONFIG, SERVE_CONFIG)
        for job in load(config)["scrape_configs"]
    }
    named = [
        job
        for one in [*panel_expressions(), *rule_expressions()]
        for wanted in re.findall(r'job=~?"([^"$]+)"', one.text)
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
