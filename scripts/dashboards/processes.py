"""Panels that more than one dashboard has: what a process costs."""

from __future__ import annotations

from scripts.dashboards.board import Panel, Query
from scripts.dashboards.promql import rate, total


def cpu_panel(shown_by: tuple[str, ...], width: int = 8) -> Panel:
    """CPU use of processes."""
    expr = rate("process_cpu_seconds_total", by="job,instance")
    return Panel(
        "CPU cores in use",
        "Cores that the process keeps busy, without its child processes.",
        "short",
        Query(expr, "{{job}} {{instance}}"),
        shown_by,
        width=width,
    )


def memory_panel(shown_by: tuple[str, ...], width: int = 8) -> Panel:
    """Memory of processes."""
    expr = total("process_resident_memory_bytes", by="job,instance")
    return Panel(
        "Memory",
        "Resident memory of the process, without its child processes.",
        "bytes",
        Query(expr, "{{job}} {{instance}}"),
        shown_by,
        width=width,
    )
