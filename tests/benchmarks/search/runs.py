"""Runs a part of the benchmark in a process of its own, within a time; a part that fails is reported with
the reason, and ends nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.types import Float32Array, Int64Array
from tests.benchmarks.search.engines import MOST_VECTORS

# Building a graph of twice as many vectors takes more than twice as long.
BUILD_EXPONENT = 1.15
_LEAST_SECONDS = 10.0


@dataclass
class Budget:
    """Seconds for everything that may be left out."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.seconds - (time.monotonic() - self.began)


class Unmeasured(Exception):
    """A part that could not be measured, with the reason."""


def save_data(folder: Path, vectors: Float32Array, asked: Float32Array, exact: Int64Array) -> None:
    """Write what `engine_process` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("vectors", vectors), ("asked", asked), ("exact", exact)):
        np.save(folder / f"{name}.npy", array)


def engine(
    name: str,
    folder: Path,
    count: int,
    repeats: int,
    budget: Budget,
    smaller: tuple[int, float] | None = None,
) -> dict[str, Any]:
    """The figures of an engine over `count` vectors. smaller: another number of vectors, and the seconds
    that it took. Raises Unmeasured."""
    if count > MOST_VECTORS.get(name, count):
        raise Unmeasured(f"measured up to {MOST_VECTORS[name]:,} vectors only")
    expected = _LEAST_SECONDS
    if smaller is not None:
        expected = max(expected, smaller[1] * (count / smaller[0]) ** BUILD_EXPONENT)
    if expected > budget.left:
        raise Unmeasured(
            f"would take about {expected:.0f} s, and {max(0.0, budget.left):.0f} s are left; "
            "allow more with --budget"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent) as own:
        for path in folder.glob("*.npy"):
            (Path(own) / path.name).symlink_to(path)
        command = [sys.executable, "-m", f"{__package__}.engine_process", name, own, str(repeats)]
        return output_of(command, budget.left)


def output_of(command: list[str], seconds: float) -> dict[str, Any]:
    """What a process prints as its last line."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Unmeasured(
                f"was not done after {seconds:.0f} s; allow more with --budget"
            ) from None
        finally:
            # With the servers that it started.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode:
            errors.seek(0)
            said = errors.read().strip().splitlines() or [f"exit code {process.returncode}"]
            raise Unmeasured(said[-1][:300])
    figures: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return figures
