"""The memory of a process and of all that it started, told by Linux."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Peak:
    """own_mib: the most that the process held; tree_mib: the most that it and its children held at one
    time, what they share counted for each. output: what it printed."""

    own_mib: float
    tree_mib: float
    seconds: float
    output: str


def peak_of(command: Sequence[str], environment: Mapping[str, str]) -> Peak:
    """Run a command and look at its memory ten times a second. Raises RuntimeError where it fails."""
    began = time.monotonic()
    own = tree = 0.0
    # A file, as nobody reads a pipe while memory is looked at: the command would wait for ever.
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as printed,
        subprocess.Popen(command, env=dict(environment), stdout=printed) as process,
    ):
        while process.poll() is None:
            held = _resident(process.pid)
            own = max(own, held)
            tree = max(tree, held + sum(map(_resident, _children(process.pid))))
            time.sleep(0.1)
        printed.seek(0)
        output = printed.read()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    return Peak(own / MIB, tree / MIB, time.monotonic() - began, output)


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0.0


def _children(pid: int) -> list[int]:
    """Of a process and of theirs."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        return found
    return found + [one for child in found for one in _children(child)]
