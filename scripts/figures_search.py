"""The tables and the chart of `scripts/bench search`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evaluation.report.plot_style import colour, dash, legend_above, panels

CHART = "search.svg"
_NAMES = {"faiss": "FAISS", "exact": "exact search", "shard": "shard"}


def named(engine: str) -> str:
    """How an engine is called in a figure."""
    return _NAMES.get(engine, engine)


def engine_rows(results: dict[str, Any]) -> list[list[str]]:
    """A row for each engine at the largest size, the fastest first."""
    engines = results["times"][f"{results['vectors']}"]
    complete = {name: one for name, one in engines.items() if "recall" in one}
    return [
        [
            named(name),
            f"{one['p50']:.0f}",
            f"{one['p99']:.0f}",
            f"{one['p999']:.0f}",
            f"{one['queries_per_second']:,}",
            f"{one['recall']:.4f}",
            f"{one['candidates'] or ''}",
            f"{one['build_seconds']:.1f}",
            f"{one['bytes_per_vector']:,}",
        ]
        for name, one in sorted(complete.items(), key=lambda pair: float(pair[1]["p50"]))
    ]


ENGINE_HEAD = [
    "engine",
    "p50, µs",
    "p99",
    "p99.9",
    "queries per second, both cores",
    "recall@10",
    "candidates",
    "build, s",
    "bytes per vector",
]
HTTP_HEAD = ["over HTTP", "p50, µs", "p99", "p99.9", "requests per second"]


def http_rows(results: dict[str, Any]) -> list[list[str]]:
    """A row for each case over HTTP."""
    return [
        [
            name,
            f"{one['p50']:.0f}",
            f"{one['p99']:.0f}",
            f"{one['p999']:.0f}",
            f"{one['queries_per_second']:,}" if "queries_per_second" in one else "",
        ]
        for name, one in results.get("http_microseconds", {}).items()
    ]


def draw(results: dict[str, Any], path: Path) -> None:
    """How the median of each engine grows with the number of vectors; and the 99th percentile of a
    service's index and of its HTTP route, idle and while it is written to."""
    times = {int(size): engines for size, engines in results["times"].items()}
    names = [
        name
        for name in dict.fromkeys(name for one in times.values() for name in one)
        if any("recall" in one.get(name, {}) for one in times.values())
    ]
    with panels(path, 7.2, 3.4, columns=2) as drawing:
        growth, writing = drawing.axes
        for number, name in enumerate(names):
            known = sorted((size, one[name]["p50"]) for size, one in times.items() if name in one)
            growth.plot(
                *zip(*known, strict=True),
                color=colour(number),
                linestyle=dash(number),
                marker="o",
                markersize=3,
                linewidth=2.2 if name == "shard" else 1.3,
                label=named(name),
            )
        growth.set_xscale("log")
        growth.set_yscale("log")
        growth.set_xlabel("vectors")
        growth.set_ylabel("median of one query, microseconds")
        bars = _bars(results)
        writing.barh(list(bars), list(bars.values()), color=colour(0), height=0.6)
        writing.invert_yaxis()
        writing.set_xlabel("99th percentile, microseconds")
        legend_above(drawing.figure, growth)


def _bars(results: dict[str, Any]) -> dict[str, float]:
    within = results.get("while_writing", {}).get("search_microseconds", {})
    over = results.get("http_microseconds", {})
    bars = {f"index, {name}": one["p99"] for name, one in within.items()}
    for name in ("our route", "our route while writing", "our route, 8 clients"):
        if name in over:
            bars[name.replace("our route", "HTTP")] = over[name]["p99"]
    return bars
