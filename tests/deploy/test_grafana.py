"""The dashboard: as Grafana's own types have it, with every metric of ours on it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from common.metrics import Metrics
from tests.deploy.files import (
    DEPLOY,
    PROMETHEUS_CONFIG,
    alert_expressions,
    dashboard,
    load,
    metric_names,
    panel_expressions,
    panels,
    services,
)

PROVISIONING = DEPLOY / "grafana" / "provisioning"
TARGET_SECONDS = 0.001


def metrics_there_are() -> dict[str, set[str]]:
    """Every metric of ours, and the names its samples have."""
    found = {}
    for family in Metrics.create("search").registry.collect():
        if family.name.startswith("storyhash_"):
            ends = {
                "histogram": ("_bucket", "_count", "_sum"),
                "counter": ("_total",),
                "info": ("_info",),
            }
            found[family.name] = {family.name + end for end in ends.get(family.type, ("",))}
    return found


def test_grafanas_own_types_read_it_and_lose_nothing() -> None:
    plugins.register_default_plugins()
    read = Dashboard.from_json(dashboard())
    written = json.loads(JSONEncoder(sort_keys=True).encode(read))
    assert list(lost(dashboard(), written, "dashboard")) == []


def lost(ours: Any, theirs: Any, where: str) -> list[str]:
    """What is in ours and not in theirs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            line
            for key, value in ours.items()
            for line in (
                lost(value, theirs[key], f"{where}.{key}") if key in theirs else [f"{where}.{key}"]
            )
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for i, (one, two) in pairs for line in lost(one, two, f"{where}[{i}]")]
    return [] if ours == theirs else [f"{where}: {ours} and {theirs}"]


def test_a_misspelt_field_would_be_seen() -> None:
    plugins.register_default_plugins()
    spoiled = dashboard()
    spoiled["panels"][1]["fieldConfigs"] = spoiled["panels"][1].pop("fieldConfig")
    written = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(spoiled)))
    assert "dashboard.panels[1].fieldConfigs" in lost(spoiled, written, "dashboard")


def test_every_metric_is_on_the_dashboard() -> None:
    shown = set().union(*(metric_names(one.text) for one in panel_expressions()))
    missing = [name for name, samples in metrics_there_are().items() if not samples & shown]
    assert missing == []


@pytest.mark.parametrize(
    "expression", [*panel_expressions(), *alert_expressions()], ids=lambda one: one.where
)
def test_an_expression_names_only_metrics_there_are(expression: Any) -> None:
    samples = set().union(*metrics_there_are().values())
    assert metric_names(expression.text) <= samples


def test_the_target_of_a_query_is_drawn_and_is_a_boundary_of_its_buckets() -> None:
    (latency,) = [one for one in panels() if one["title"] == "Query latency"]
    defaults = latency["fieldConfig"]["defaults"]
    assert defaults["custom"]["thresholdsStyle"]["mode"] != "off"
    assert defaults["thresholds"]["steps"][-1]["value"] == TARGET_SECONDS
    share = [one.text for one in panel_expressions() if 'le="' in one.text]
    assert share
    assert all(f'le="{TARGET_SECONDS}"' in text for text in share)
    family = Metrics.create("search").query_duration_seconds
    (collected,) = family.collect()
    assert str(TARGET_SECONDS) in {sample.labels.get("le") for sample in collected.samples}


def test_panels_are_titled_described_and_have_units() -> None:
    for panel in panels():
        assert panel["title"]
        assert 0 < len(panel["description"]) <= 100, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


def test_panels_lie_side_by_side() -> None:
    taken = [
        {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        for at in (panel["gridPos"] for panel in dashboard()["panels"])
    ]
    assert all(not one & two for one, two in itertools.combinations(taken, 2))
    assert max(x for one in taken for x, _ in one) == 23


def test_everything_asks_the_data_source_that_is_provisioned() -> None:
    (source,) = load(PROVISIONING / "datasources" / "prometheus.yaml")["datasources"]
    asked = [panel["datasource"] for panel in panels()]
    asked += [target["datasource"] for panel in panels() for target in panel["targets"]]
    assert all(one == {"type": "prometheus", "uid": source["uid"]} for one in asked)
    assert source["url"] == "http://prometheus:9090"
    scraped = load(PROMETHEUS_CONFIG)["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped


def test_the_dashboard_is_mounted_where_grafana_is_told_to_look() -> None:
    (provider,) = load(PROVISIONING / "dashboards" / "storyhash.yaml")["providers"]
    grafana = services()["grafana"]
    folder = provider["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in grafana["volumes"]
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/storyhash.json"
