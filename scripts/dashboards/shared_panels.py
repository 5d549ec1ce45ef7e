"""Panels that more than one dashboard has: what a process costs, and how far behind consumers are."""

from __future__ import annotations

from scripts.dashboards.board import KAFKA, Panel, Query
from scripts.dashboards.promql import rate, total

_LAG_ALERT = "StoryHashLagGrowing"


def cpu_panel(shown_by: tuple[str, ...], width: int = 8) -> Panel:
    """CPU use of processes."""
    text = "Cores that the process keeps busy, without its child processes."
    expr = rate("process_cpu_seconds_total", by="job,instance")
    return _of_process("CPU cores in use", text, "short", expr, shown_by, width)


def memory_panel(shown_by: tuple[str, ...], width: int = 8) -> Panel:
    """Memory of processes."""
    text = "Resident memory of the process, without its child processes."
    expr = total("process_resident_memory_bytes", by="job,instance")
    return _of_process("Memory", text, "bytes", expr, shown_by, width)


def _of_process(
    title: str, text: str, unit: str, expr: str, shown_by: tuple[str, ...], width: int
) -> Panel:
    return Panel(title, text, unit, Query(expr, "{{job}} {{instance}}"), shown_by, width=width)


def time_lag_panel(title: str, by: str) -> Panel:
    """Lag of consumers in seconds, by these labels."""
    text = "Age of the message that was read last, while more wait."
    lag = total("consumer_lag_seconds", by=by, how="max")
    return Panel(title, text, "s", lag, KAFKA, alert=_LAG_ALERT)


def message_lag_panel(title: str, text: str, by: str) -> Panel:
    """Lag of consumers in messages, by these labels."""
    lag = total("consumer_lag_messages", by=by)
    return Panel(title, text, "short", lag, KAFKA, alert=_LAG_ALERT)
