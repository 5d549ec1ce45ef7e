"""A backup of a catalogue while it is open, its verification, and its restore until the index is ready.

Random vectors with eight frame codes per segment, as real segments have; twenty segments per video.
`--segments` sets how many. Times depend on the machine and its disk, and on what else it does: give the
ratios per segment with both.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from common.settings import Settings
from common.types import VECTOR_DIMENSION
from searcher.backup.create import Source, create_backup
from searcher.backup.manifest import damage, read_manifest
from searcher.backup.restore import restore_backup
from searcher.local_index import LocalIndex
from tests.benchmarks.made_catalogue import MANIFEST, PER_VIDEO, fill
from tests.benchmarks.report import options, publish
from tests.support.background import Background

_SEGMENTS = 100_000


class _Searching(Background):
    """Searches all the while, and remembers the slowest."""

    def __init__(self, index: LocalIndex) -> None:
        self.count, self.slowest = 0, 0.0
        self._index = index

    def run(self) -> None:
        query = np.ones((1, VECTOR_DIMENSION), dtype=np.float32) / VECTOR_DIMENSION**0.5
        while not self.stopping.wait(0.01):
            began = time.perf_counter()
            self._index.search(query, 10)
            self.slowest = max(self.slowest, time.perf_counter() - began)
            self.count += 1


def measured(folder: Path, segments: int) -> dict[str, Any]:
    """Seconds and bytes of each step."""
    settings = Settings(data_dir=folder / "data")
    times: dict[str, float] = {}

    def timed(name: str, began: float) -> None:
        times[name] = round(time.monotonic() - began, 2)

    with LocalIndex.open_writer(folder / "data", MANIFEST, settings) as index:
        fill(index, segments)
        source = Source(index, folder / "data", "", state_is_elsewhere=False)
        with _Searching(index) as searching:
            began = time.monotonic()
            made = create_backup(source, folder / "backups")
            timed("create", began)
        while_made = {"searches": searching.count, "slowest_ms": round(1e3 * searching.slowest, 1)}
    size = read_manifest(made).bytes
    disk = {name: _allocated(folder / "data" / name) for name in ("mirror", "snapshots")}
    began = time.monotonic()
    if wrong := damage(made):
        raise RuntimeError(f"the backup is damaged: {wrong}")
    timed("verify", began)
    restored = Settings(data_dir=folder / "restored")
    began = time.monotonic()
    restore_backup(made, restored)
    timed("restore", began)
    began = time.monotonic()
    with LocalIndex.open_writer(folder / "restored", MANIFEST, restored) as index:
        timed("open", began)
        if index.stats.live != segments:
            raise RuntimeError(f"expected {segments} segments, got {index.stats.live}")
    return {
        "segments": segments,
        "seconds": times,
        "bytes_per_segment": round(size / segments),
        # Of two runs, the difference per segment leaves out what an empty folder takes.
        "bytes_on_disk": disk,
        "searches_while_it_was_made": while_made,
    }


def _allocated(folder: Path) -> int:
    """Bytes of disk that the files of a folder take; holes take none."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--segments", type=int, default=0, help="size of the catalogue")
    asked = parser.parse_args()
    segments = asked.segments or (_SEGMENTS // 10 if asked.quick else _SEGMENTS)
    with tempfile.TemporaryDirectory(prefix="storyhash-bench-backup-") as folder:
        publish("backup", measured(Path(folder), segments - segments % PER_VIDEO), asked.json)


if __name__ == "__main__":
    main()
