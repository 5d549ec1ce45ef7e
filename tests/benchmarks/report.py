"""What every benchmark shares: options, timing and the JSON it leaves."""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common.runtime_tuning import usable_cores


def options(description: str) -> argparse.ArgumentParser:
    """A parser with the options every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="a fraction of the size, for a first look"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser


def microseconds(call: Callable[[int], object], repeats: int) -> dict[str, float]:
    """p50 and p99 of `call(number)`, after a tenth of the calls to warm up."""
    spent = []
    for number in range(repeats + repeats // 10):
        began = time.perf_counter()
        call(number)
        spent.append(time.perf_counter() - began)
    kept = np.array(spent[repeats // 10 :]) * 1e6
    return {
        "p50": round(float(np.median(kept)), 1),
        "p99": round(float(np.quantile(kept, 0.99)), 1),
    }


def resident_bytes() -> int:
    """Bytes of memory this process holds now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def publish(name: str, figures: dict[str, Any], path: Path | None) -> None:
    """Print the figures, and write them with the machine they are from."""
    machine = {
        "cores": usable_cores(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
    }
    text = json.dumps({"benchmark": name, "machine": machine, **figures}, indent=1)
    sys.stdout.write(text + "\n")
    if path is not None:
        path.write_text(text + "\n", encoding="utf-8")
