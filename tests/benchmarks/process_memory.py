"""The memory of a process and of all that it started, told by Linux."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.memory import MemoryWatch


@dataclass(frozen=True, slots=True)
class Peak:
    """own_mib: the most that the process held; tree_mib: the most that it and its children held at one
    time, what they share counted for each. output: what it printed."""

    own_mib: float
    tree_mib: float
    seconds: float
    output: str


def peak_of(command: Sequence[str], environment: Mapping[str, str]) -> Peak:
    """Run a command and look at its memory all the while. Raises RuntimeError where it fails."""
    began = time.monotonic()
    # A file, as nobody reads a pipe while memory is looked at: the command would wait for ever.
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as printed,
        subprocess.Popen(command, env=dict(environment), stdout=printed) as process,
    ):
        with MemoryWatch(process.pid) as memory:
            process.wait()
        printed.seek(0)
        output = printed.read()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    return Peak(memory.process_mib, memory.together_mib, time.monotonic() - began, output)


def resident_bytes(pid: int | str = "self") -> int:
    """Memory of a process now, with the pages of its files that it has mapped."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
