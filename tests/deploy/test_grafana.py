"""The dashboards: as Grafana's own types have them, with every metric of ours on one of them."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from matplotlib.figure import Figure

from common.metrics import Metrics
from scripts.dashboards import BOARDS, files
from scripts.panel_pictures import DRAW, draw_board, in_unit
from tests.deploy.files import (
    DASHBOARDS,
    DEPLOY,
    PROMETHEUS_CONFIG,
    ROOT,
    RUNBOOKS,
    SERVE_CONFIG,
    alerts,
    dashboards,
    load,
    metric_names,
    panel_expressions,
    panels,
    recorded,
    rule_expressions,
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


def test_the_files_are_those_the_code_makes() -> None:
    assert {path: path.read_text() for path in DASHBOARDS.glob("*.json")} == files()


@pytest.mark.parametrize("uid", dashboards())
def test_grafanas_own_types_read_it_and_lose_nothing(uid: str) -> None:
    plugins.register_default_plugins()
    board = dashboards()[uid]
    written = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(board)))
    assert list(lost(board, written, "dashboard")) == []


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
    spoiled = dashboards()["storyhash"]
    spoiled["panels"][1]["fieldConfigs"] = spoiled["panels"][1].pop("fieldConfig")
    written = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(spoiled)))
    assert "dashboard.panels[1].fieldConfigs" in lost(spoiled, written, "dashboard")


def test_every_metric_is_on_a_dashboard() -> None:
    shown = set().union(*(metric_names(one.text) for one in panel_expressions()))
    missing = [name for name, samples in metrics_there_are().items() if not samples & shown]
    assert missing == []


@pytest.mark.parametrize(
    "expression", [*panel_expressions(), *rule_expressions()], ids=lambda one: one.where
)
def test_an_expression_names_only_metrics_there_are(expression: Any) -> None:
    """A metric that is renamed in the code, or a recording rule, is missed here."""
    samples = set().union(*metrics_there_are().values())
    assert metric_names(expression.text) <= samples | recorded().keys()


def test_every_recorded_series_is_shown_or_raises_an_alert() -> None:
    used = set().union(*(metric_names(rule["expr"]) for rule in alerts().values()))
    used |= set().union(*(metric_names(one.text) for one in panel_expressions()))
    assert recorded().keys() - used == set()


def test_the_target_of_a_search_is_drawn_and_is_a_boundary_of_its_buckets() -> None:
    board = dashboards()["storyhash-search"]
    (latency,) = [one for one in panels(board) if one["title"] == "Query latency"]
    defaults = latency["fieldConfig"]["defaults"]
    assert defaults["custom"]["thresholdsStyle"]["mode"] != "off"
    assert defaults["thresholds"]["steps"][-1]["value"] == TARGET_SECONDS
    share = [
        one.text
        for one in [*panel_expressions(), *rule_expressions()]
        if re.search(r'le="', one.text)
    ]
    assert share
    assert all(f'le="{TARGET_SECONDS}"' in text for text in share)
    family = Metrics.create("search").query_duration_seconds
    (collected,) = family.collect()
    assert str(TARGET_SECONDS) in {sample.labels.get("le") for sample in collected.samples}


@pytest.mark.parametrize("uid", dashboards())
def test_panels_are_titled_described_and_have_units(uid: str) -> None:
    board = dashboards()[uid]
    for panel in panels(board):
        assert panel["title"]
        assert 0 < len(panel["description"]) <= 100, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("uid", dashboards())
def test_panels_lie_side_by_side(uid: str) -> None:
    taken = [
        {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        for at in (panel["gridPos"] for panel in dashboards()[uid]["panels"])
    ]
    assert all(not one & two for one, two in itertools.combinations(taken, 2))
    assert max(x for one in taken for x, _ in one) == 23


@pytest.mark.parametrize("uid", dashboards())
def test_data_source_job_and_instance_are_chosen_by_variables(uid: str) -> None:
    """So a dashboard can be imported into any Grafana, and shows one service or all."""
    board = dashboards()[uid]
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance", "runbooks"]
    assert variables["runbooks"]["query"] == str(RUNBOOKS.relative_to(ROOT))
    assert variables["datasource"]["query"] == "prometheus"
    asked = [panel["datasource"] for panel in panels(board)]
    asked += [target["datasource"] for panel in panels(board) for target in panel["targets"]]
    asked += [variables["job"]["datasource"], variables["instance"]["datasource"]]
    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in asked)
    for panel in panels(board):
        for target in panel["targets"]:
            selectors = re.findall(r"\{[^}]*\}", target["expr"])
            assert selectors
            chosen = ('{job="qdrant"}', '{job=~"$job",instance=~"$instance"')
            assert all(one.startswith(chosen) for one in selectors), target["expr"]


def test_the_data_source_is_asked_as_often_as_prometheus_scrapes() -> None:
    (source,) = load(PROVISIONING / "datasources" / "prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    for config in (PROMETHEUS_CONFIG, SERVE_CONFIG):
        scraped = load(config)["global"]["scrape_interval"]
        assert source["jsonData"]["timeInterval"] == scraped


def test_each_dashboard_has_a_picture_in_the_document() -> None:
    text = (ROOT / "docs" / "operations" / "running.md").read_text()
    for uid in dashboards():
        assert f"(../figures/{uid}.png)" in text
        assert (ROOT / "docs" / "figures" / f"{uid}.png").stat().st_size > 10_000


def test_every_kind_of_panel_can_be_drawn(tmp_path: Path) -> None:
    (board,) = [one for one in BOARDS if one.uid == "storyhash-detection"]
    heat = {"name": "", "labels": {"le": "+Inf"}, "points": [[0.0, 1.0], [1.0, 2.0]]}
    line = {"name": "copy", "labels": {"bank": "news"}, "points": [[0.0, 1.0], [1.0, 0.0]]}
    for kind in {panel.kind for one in BOARDS for panel in one.panels}:
        axes = Figure().add_subplot()
        panel = replace(board.panels[0], kind=kind)
        DRAW[kind](axes, panel, [heat if kind == "heatmap" else line])
        assert axes.has_data() or axes.texts, kind
    empty: dict[str, list[Any]] = {panel.title: [] for panel in board.panels}
    draw_board(board, empty, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").read_bytes().startswith(b"\x89PNG")
    units = {unit: in_unit(0.25, unit) for unit in ("s", "percentunit", "bytes", "reqps")}
    assert units == {"s": "250 ms", "percentunit": "25 %", "bytes": "0.25 B", "reqps": "0.25/s"}


def test_links_to_runbooks_name_alerts_there_are() -> None:
    anchors = {alert.lower() for alert in alerts()}
    links = [
        link["url"]
        for board in dashboards().values()
        for panel in panels(board)
        for link in panel.get("links", ())
    ]
    assert links
    assert {url.removeprefix("${runbooks}#") for url in links} <= anchors


def test_the_dashboards_are_mounted_where_grafana_is_told_to_look() -> None:
    (provider,) = load(PROVISIONING / "dashboards" / "storyhash.yaml")["providers"]
    grafana = services()["grafana"]
    folder = provider["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in grafana["volumes"]
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/storyhash.json"
