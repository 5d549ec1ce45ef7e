"""What every benchmark shares: options, timing and the JSON it leaves."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_write import replacing
from common.runtime_tuning import usable_cores
from common.types import Float32Array


def options(description: str) -> argparse.ArgumentParser:
    """A parser with the options every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="a fraction of the size, for a first look"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser


def microseconds(call: Callable[[int], object], repeats: int) -> dict[str, float]:
    """The quantiles of `call(number)`, after a tenth of the calls to warm up."""
    spent = []
    for number in range(repeats + repeats // 10):
        began = time.perf_counter()
        call(number)
        spent.append(time.perf_counter() - began)
    return quantiles(spent[repeats // 10 :])


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and p999 in microseconds."""
    found = np.quantile(np.asarray(seconds) * 1e6, (0.5, 0.99, 0.999)).round(1).tolist()
    return dict(zip(("p50", "p99", "p999"), found, strict=True))


def timed_singly(
    ask: Callable[[Float32Array], object], queries: Float32Array, seconds: float
) -> dict[str, float]:
    """Microseconds of single queries, one after another for this long, and how many there were.
    ask: takes one query, float32 (1, d)."""
    spent: list[float] = []
    end = time.perf_counter() + seconds
    for number in count():
        began = time.perf_counter()
        ask(queries[number % len(queries)][None])
        spent.append(time.perf_counter() - began)
        if began > end:
            break
    return {**quantiles(spent), "queries": len(spent)}


def per_second(call: Callable[[int], object], seconds: float, threads: int) -> float:
    """Calls per second of several threads together; each has numbers of its own."""
    counts = [0] * threads
    end = time.perf_counter() + seconds

    def work(thread: int) -> None:
        while time.perf_counter() < end:
            call(counts[thread] * threads + thread)
            counts[thread] += 1

    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    began = time.perf_counter()
    for one in running:
        one.start()
    for one in running:
        one.join()
    return sum(counts) / (time.perf_counter() - began)


def publish(name: str, figures: dict[str, Any], path: Path | None) -> None:
    """Print the figures, and write them with the machine they are from."""
    sys.stdout.write(save(name, figures, path))


def save(name: str, figures: dict[str, Any], path: Path | None) -> str:
    """Write the figures that there are so far, and return the text."""
    machine = {
        "cores": usable_cores(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 1),
    }
    text = json.dumps({"benchmark": name, "machine": machine, **figures}, indent=1) + "\n"
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return text
