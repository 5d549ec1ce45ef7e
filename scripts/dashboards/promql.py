"""Expressions of PromQL, with the variables of the dashboards in every selector."""

from __future__ import annotations

WINDOW = "$__rate_interval"
_CHOSEN = 'job=~"$job",instance=~"$instance"'


def metric(name: str, *matchers: str) -> str:
    """A selector of one metric: `storyhash_` is put before a name of ours."""
    complete = name == "up" or name.startswith(("storyhash", "process_"))
    full = name if complete else f"storyhash_{name}"
    return f"{full}{{{','.join([_CHOSEN, *matchers])}}}"


def total(name: str, *matchers: str, by: str = "", how: str = "sum") -> str:
    """The sum (or `how`) of a gauge, by labels."""
    return f"{how}{_by(by)} ({metric(name, *matchers)})"


def rate(name: str, *matchers: str, by: str = "", window: str = WINDOW) -> str:
    """The rate of a counter per second, by labels."""
    return f"sum{_by(by)} (rate({metric(name, *matchers)}[{window}]))"


def increase(name: str, *matchers: str, by: str = "", window: str = "$__range") -> str:
    """How much a counter grew in the time shown, by labels."""
    return f"sum{_by(by)} (increase({metric(name, *matchers)}[{window}]))"


def quantile(share: float, name: str, *matchers: str, by: str = "") -> str:
    """A quantile of a histogram, by labels."""
    labels = f"le,{by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{name}_bucket', *matchers, by=labels)})"


def ratio(part: str, whole: str) -> str:
    """A fraction; no value while the whole is 0."""
    return f"{part} / ({whole} > 0)"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
