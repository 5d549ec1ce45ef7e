"""The memory of a process and of those it started, sampled while they run."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from tests.support.background import Background
from tests.support.services import children

_EVERY_SECONDS = 0.05
_MIB = 1 << 20


@dataclass
class MemoryWatch(Background):
    """Peaks of resident memory in MiB: of the process, of its largest child, of all together."""

    pid: int
    process_mib: float = 0.0
    child_mib: float = 0.0
    together_mib: float = 0.0

    @property
    def figures(self) -> dict[str, int]:
        """The peaks, rounded."""
        return {
            "process_mib": round(self.process_mib),
            "largest_child_mib": round(self.child_mib),
            "together_mib": round(self.together_mib),
        }

    def run(self) -> None:
        while not self.stopping.wait(_EVERY_SECONDS):
            own = resident_mib(self.pid)
            others = [resident_mib(one) for one in descendants(self.pid)]
            self.process_mib = max(self.process_mib, own)
            self.child_mib = max(self.child_mib, *others, 0.0)
            self.together_mib = max(self.together_mib, own + sum(others))


def descendants(pid: int) -> list[int]:
    """Every process that was started by this one, or by one of those."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for child in children(pid):
            found += [child, *descendants(child)]
    return found


def resident_mib(pid: int) -> float:
    """What a process holds now; 0 when it has ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0.0
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / _MIB
