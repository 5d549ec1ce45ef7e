"""One dashboard as data, and as Grafana's JSON by the types of its own SDK."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.builders import (
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prometheus_model

_SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_KINDS: dict[str, Callable[[], Any]] = {
    "timeseries": timeseries.Panel,
    "stat": stat.Panel,
    "heatmap": heatmap.Panel,
    "table": table.Panel,
    "state-timeline": statetimeline.Panel,
}
_WIDTH = 24

# Services that show something. What runs in none of them stays empty.
SERVE, SEARCHER, EMBEDDER, PRODUCER, QDRANT = "serve", "searcher", "embedder", "producer", "qdrant"
API = (SERVE, SEARCHER)
ALL = (SERVE, SEARCHER, EMBEDDER, PRODUCER)
KAFKA = (SEARCHER, EMBEDDER)


@dataclass(frozen=True)
class Query:
    """An expression and the name of its line; the name may hold labels, as {{job}}."""

    expr: str
    legend: str
    instant: bool = False


@dataclass(frozen=True)
class Panel:
    """title: what it shows, in plain words. unit: Grafana's name of it. shown: what its lines are; those
    of an expression alone are named by the labels that it groups by. shown_by: the jobs that give it
    values. may_be_empty: why it may be empty although they run; usually "". alert: the alert whose
    runbook explains it. limit: drawn as a red line. most: the largest possible value."""

    title: str
    description: str
    unit: str
    shown: str | Query | tuple[Query, ...]
    shown_by: tuple[str, ...]
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    may_be_empty: str = ""
    alert: str = ""
    limit: float | None = None
    most: float | None = None

    @property
    def queries(self) -> tuple[Query, ...]:
        if isinstance(self.shown, tuple):
            return self.shown
        return (self.shown if isinstance(self.shown, Query) else _by_label(self.shown),)


def _by_label(expr: str) -> Query:
    grouped = re.search(r" by \((?:le,)?([^)]+)\)", expr)
    assert grouped, expr
    return Query(expr, " ".join(f"{{{{{label}}}}}" for label in grouped[1].split(",")))


@dataclass(frozen=True)
class Row:
    """A titled group of panels, from left to right."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """A dashboard. uid: also the name of its file."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]

    def to_json(self) -> str:
        """Grafana's JSON."""
        made = (
            builder.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags(["storyhash"])
            .editable()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .time("now-1h", "now")
            .refresh("10s")
            .timezone("browser")
            .variables(list(_variables()))
            .link(
                builder.DashboardLink("StoryHash")
                .type(model.DashboardLinkType.DASHBOARDS)
                .tags(["storyhash"])
                .as_dropdown(True)
                .include_vars(True)
                .keep_time(True)
            )
        )
        number, y = 1, 0
        for row in self.rows:
            place = model.GridPos(h=1, w=_WIDTH, x=0, y=y)
            made = made.with_row(builder.Row(row.title).id(number).grid_pos(place))
            number, y = number + 1, y + 1
            x = height = 0
            for panel in row.panels:
                if x + panel.width > _WIDTH:
                    x, y, height = 0, y + height, 0
                place = model.GridPos(h=panel.height, w=panel.width, x=x, y=y)
                made = made.with_panel(_panel(panel).id(number).grid_pos(place))
                number, x, height = number + 1, x + panel.width, max(height, panel.height)
            y += height
        return str(JSONEncoder(sort_keys=True, indent=1).encode(made.build())) + "\n"


def _variables() -> Sequence[Any]:
    def from_labels(name: str, label: str, query: str) -> Any:
        return (
            builder.QueryVariable(name)
            .label(label)
            .datasource(_SOURCE)
            .query({"query": query, "refId": name})
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(model.VariableOption(text="All", value="$__all", selected=True))
        )

    return [
        builder.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        from_labels("job", "Job", "label_values(storyhash_build_info, job)"),
        from_labels(
            "instance", "Instance", 'label_values(storyhash_build_info{job=~"$job"}, instance)'
        ),
        # Where docs/operations/runbooks.md is published; change it after an import.
        builder.ConstantVariable("runbooks").value("docs/operations/runbooks.md"),
    ]


def _panel(panel: Panel) -> Any:
    made = (
        _KINDS[panel.kind]()
        .title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .datasource(_SOURCE)
        .targets([_target(query, number) for number, query in enumerate(panel.queries)])
    )
    if panel.most is not None:
        made = made.min(0).max(panel.most)
    elif panel.kind == "timeseries":
        made = made.min(0)
    if panel.limit is not None:
        steps = [
            model.Threshold(value=None, color="green"),
            model.Threshold(value=panel.limit, color="red"),
        ]
        made = made.thresholds(
            builder.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
        )
        if panel.kind == "timeseries":
            style = common_builder.GraphThresholdsStyleConfig()
            made = made.thresholds_style(style.mode(common_model.GraphThresholdsStyleMode.LINE))
    if panel.alert:
        link = builder.DashboardLink(f"Runbook: {panel.alert}")
        made = made.links([link.url(f"${{runbooks}}#{panel.alert.lower()}").target_blank(True)])
    return made


def _target(query: Query, number: int) -> Any:
    target = (
        prometheus.Dataquery()
        .ref_id(chr(ord("A") + number))
        .datasource(_SOURCE)
        .expr(query.expr)
        .legend_format(query.legend)
    )
    if query.instant:
        return target.instant().format(prometheus_model.PromQueryFormat.TABLE)
    return target.range()
