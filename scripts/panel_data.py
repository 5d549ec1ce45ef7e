"""What the panels of the dashboards show of a run, as JSON that `scripts.panel_pictures` draws."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scripts.dashboards import BOARDS
from scripts.dashboards.board import Panel, Query
from tests.support.monitoring import Watched, filled


def panel_data(watched: Watched) -> dict[str, Any]:
    """By dashboard and title, the series of each panel: a name, labels, and pairs of seconds since the
    start of the run and value. A table and a single number have one pair per series."""
    return {
        board.uid: {panel.title: _series_of(watched, panel) for panel in board.panels}
        for board in BOARDS
    }


def _series_of(watched: Watched, panel: Panel) -> list[dict[str, Any]]:
    return [one for query in panel.queries for one in _answers(watched, panel, query)]


def _answers(watched: Watched, panel: Panel, query: Query) -> list[dict[str, Any]]:
    start, end = watched.start, watched.end
    expression = filled(query.expr, end - start)
    ask = watched.prometheus.ask
    if query.instant or panel.kind == "stat":
        found = ask("query", query=expression, time=end)["result"]
        pairs = [[one["value"]] for one in found]
    else:
        found = ask("query_range", query=expression, start=start, end=end, step=1)["result"]
        pairs = [one["values"] for one in found]
    return [
        {
            "name": _named(query.legend, one["metric"]),
            "labels": {key: text for key, text in one["metric"].items() if key != "__name__"},
            # NaN is no JSON; a point without a value is no point.
            "points": [
                [round(at - start, 1), float(value)] for at, value in values if value != "NaN"
            ],
        }
        for one, values in zip(found, pairs, strict=True)
    ]


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend).strip()
