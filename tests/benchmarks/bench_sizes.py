"""Bytes per segment of memory, disk and backup, for one profile and with a second opinion.

Random vectors with eight frame codes per segment; twenty segments per video. The second index has as
many. Each figure is the difference between catalogues of N and 2 N segments, divided by N, so it leaves
out what an empty folder and an idle process take. `--segments` sets N. Memory is what the processes of an
open index hold alone (PSS without files), after its graph is built: also that of the mirror's process.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from common.settings import Settings
from common.types import VECTOR_DIMENSION
from searcher.backup.create import Source, create_backup
from searcher.backup.manifest import read_manifest
from searcher.local_index import LocalIndex
from searcher.second_folder import second_folder
from tests.benchmarks.made_catalogue import MANIFEST, PER_VIDEO, fill
from tests.benchmarks.report import options, publish
from tests.faults.memory import descendants

_SEGMENTS = 100_000
_SEARCHES = 100
_MEMORY = re.compile(r"^Pss_(?:Anon|Shmem): +(\d+) kB$", re.MULTILINE)


def _opened(stack: ExitStack, folder: Path) -> LocalIndex:
    index = LocalIndex.open_writer(folder, MANIFEST, Settings(data_dir=folder), answering=True)
    return stack.enter_context(index)


def _make(folders: tuple[Path, ...], segments: int) -> None:
    """Fill each folder; two snapshots of each are kept, as a service has them."""
    for folder in folders:
        with ExitStack() as stack:
            index = _opened(stack, folder)
            half = segments // 2
            fill(index, half)
            index.save_snapshot()
            fill(index, segments, start=half)
            index.save_snapshot()


def _measure(folders: tuple[Path, ...], segments: int) -> dict[str, int]:
    """Bytes of each kind, of all folders together."""
    query = np.ones((1, VECTOR_DIMENSION), dtype=np.float32) / VECTOR_DIMENSION**0.5
    with ExitStack() as stack:
        indexes = [_opened(stack, folder) for folder in folders]
        for index in indexes:
            if index.stats.live != segments:
                raise RuntimeError(f"expected {segments} segments, got {index.stats.live}")
            for _ in range(_SEARCHES):
                index.search(query, 10)
        memory = _tree_bytes()
        backups = folders[0].parent / "backups"
        second = indexes[1] if len(indexes) > 1 else None
        source = Source(indexes[0], folders[0], "", state_is_elsewhere=False, second=second)
        backup = read_manifest(create_backup(source, backups)).bytes
    parts = {
        part: sum(_allocated(folder / part) for folder in folders)
        for part in ("mirror", "snapshots")
    }
    return {"memory": memory, **parts, "backup": backup}


def _tree_bytes() -> int:
    """Memory of this process and of those that it started."""
    pids = [os.getpid(), *descendants(os.getpid())]
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii") for pid in pids]
    return sum(1024 * int(kilobytes) for text in texts for kilobytes in _MEMORY.findall(text))


def _allocated(folder: Path) -> int:
    """Bytes of disk that the files of a folder take, once per file; holes take none."""
    blocks = {
        (found.st_dev, found.st_ino): found.st_blocks
        for found in (path.stat() for path in folder.rglob("*") if path.is_file())
    }
    return 512 * sum(blocks.values())


def _in_a_process(work: Callable[[], dict[str, int] | None]) -> dict[str, int]:
    """Run it in a new process, whose memory has nothing of earlier work."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work).result() or {}


def _sizes(segments: int, *, second: bool) -> dict[str, int]:
    """Bytes of each kind for a catalogue of so many segments."""
    with tempfile.TemporaryDirectory(prefix="storyhash-bench-sizes-") as name:
        first = Path(name) / "data"
        folders = (first, second_folder(first)) if second else (first,)
        _in_a_process(partial(_make, folders, segments))
        return _in_a_process(partial(_measure, folders, segments))


def per_segment(
    small: Mapping[str, int], large: Mapping[str, int], segments: int
) -> dict[str, int]:
    """Bytes that each of so many more segments takes, by kind."""
    return {kind: round((large[kind] - small[kind]) / segments) for kind in small}


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--segments", type=int, default=0, help="N, the size of the smaller one")
    asked = parser.parse_args()
    segments = asked.segments or (_SEGMENTS // 10 if asked.quick else _SEGMENTS)
    segments -= segments % (2 * PER_VIDEO)
    figures: dict[str, object] = {"segments": [segments, 2 * segments]}
    for name, second in (("one profile", False), ("with a second opinion", True)):
        small, large = (_sizes(count, second=second) for count in (segments, 2 * segments))
        figures[name] = per_segment(small, large, segments)
    publish("sizes", figures, asked.json)


if __name__ == "__main__":
    main()
