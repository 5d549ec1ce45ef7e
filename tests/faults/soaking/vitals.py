"""Memory, file descriptors and threads of a process over time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.memory import descendants, resident_mib
from tests.support.background import Background

_EVERY_SECONDS = 0.5
# The first part, in which caches fill and pools start, is no part of a slope. On a loaded machine memory
# was level after five minutes.
_WARM_SHARE = 1 / 2
# Beyond these, a number that grew from one half to the other is a leak. Connections and worker threads of
# bounded pools come and go.
_MOST_MORE = {"descriptors": 24, "threads": 12}


class Vitals(Background):
    """Samples of one process and of its children together, until the `with` block ends."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        # Columns: seconds, own MiB, MiB together, descriptors, threads.
        self._rows: list[tuple[float, float, float, int, int]] = []

    def run(self) -> None:
        began = time.monotonic()
        while not self.stopping.wait(_EVERY_SECONDS):
            home = Path(f"/proc/{self._pid}")
            try:
                descriptors = len(list((home / "fd").iterdir()))
                threads = len(list((home / "task").iterdir()))
            except OSError:
                return
            own = resident_mib(self._pid)
            others = sum(map(resident_mib, descendants(self._pid)))
            moment = time.monotonic() - began
            self._rows.append((moment, own, own + others, descriptors, threads))

    @property
    def figures(self) -> dict[str, Any]:
        """Slopes are of least squares, in MiB per minute, of the second half."""
        rows = self._warm()
        seconds, own, together = rows[:, 0], rows[:, 1], rows[:, 2]
        return {
            "samples": len(rows),
            "seconds": round(float(seconds[-1] - seconds[0]), 1),
            "process_mib": {
                "first": round(own[0]),
                "last": round(own[-1]),
                "most": round(own.max()),
            },
            "process_mib_per_minute": _slope(seconds, own),
            "with_children_mib_per_minute": _slope(seconds, together),
            **{
                name: dict(zip(("first_half", "second_half"), halves, strict=True))
                for name, halves in self._halves(rows).items()
            },
        }

    def grown(self) -> list[str]:
        """Numbers of descriptors or threads that grew."""
        return [
            f"{name}: {first} and later {second}"
            for name, (first, second) in self._halves(self._warm()).items()
            if second > first + _MOST_MORE[name]
        ]

    def slope(self) -> float:
        """Of the process, MiB per minute."""
        rows = self._warm()
        return _slope(rows[:, 0], rows[:, 1])

    def _warm(self) -> Any:
        rows = np.array(self._rows)
        if len(rows) < 10:
            raise RuntimeError(f"{len(rows)} samples are too few; let it run longer")
        return rows[rows[:, 0] >= rows[-1, 0] * _WARM_SHARE]

    @staticmethod
    def _halves(rows: Any) -> dict[str, tuple[int, int]]:
        """The medians of each half."""
        middle = len(rows) // 2
        return {
            name: (int(np.median(rows[:middle, column])), int(np.median(rows[middle:, column])))
            for name, column in (("descriptors", 3), ("threads", 4))
        }


def _slope(seconds: Any, values: Any) -> float:
    return round(float(60 * np.polyfit(seconds, values, 1)[0]), 2)
