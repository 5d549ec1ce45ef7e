#!/usr/bin/env python3
"""Write the sizing table of docs/operations.md from the figures that benchmarks left in the documents.

python -m scripts.sizing            writes the table into the file
python -m scripts.sizing --check    exit code 1 when it is stale
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from common.types import FRAME_CODE_SIZE, VECTOR_DIMENSION

ROOT = Path(__file__).parents[1]
PATH = ROOT / "docs" / "operations.md"
_PLACE = re.compile(r"(<!-- sizing -->\n).*?(<!-- end -->)", re.DOTALL)

SEGMENTS = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
SEGMENTS_PER_HOUR = 900
# A segment of 4 s has a frame code per half second.
FRAME_CODES = 8
# Copies of the graph during a merge.
MERGE_COPIES = 2
# Two snapshots are kept while the next one is written.
SNAPSHOTS = 3
KAFKA_REPLICAS = 3
# Qdrant as the index, calculated and not measured: a quantised vector (a byte per number), links of both
# directions (2 x 16 of 4 bytes), and what payload indexes take.
QDRANT_COPIES, QDRANT_LINKS, QDRANT_PAYLOAD = 2, 2 * 16 * 4, 150
# Memory of a Qdrant node, and the part of it that the index may take.
NODE_GIB, NODE_SHARE = 64, 0.75
# Above this no usual machine has the memory for the index in FAISS.
LARGEST_GIB = 1_024


@dataclass(frozen=True)
class Measured:
    """Figures of the documents, measured on two cores. memory: bytes per segment without frame codes.
    message, mirror: bytes per segment. speed: times real time, `sscd-motion`."""

    memory: int
    message: float
    mirror: float
    speed: float

    @classmethod
    def read(cls) -> Measured:
        """From README.md, docs/streaming.md and docs/operations.md."""
        readme, streaming, operations = (
            (ROOT / name).read_text(encoding="utf-8")
            for name in ("README.md", "docs/streaming.md", "docs/operations.md")
        )
        return cls(
            int(_found(r"takes (\d+) bytes of memory per segment", readme)),
            1000 * float(_found(r"\| message of an embedding \| ([\d.]+) kB \|", streaming)),
            1000 * float(_found(r"about ([\d.]+) kB in the mirror", operations)),
            float(_found(r"indexed at (\d+) \(`sscd-motion`\)", readme)),
        )

    @property
    def codes(self) -> int:
        """Bytes of the frame codes of a segment."""
        return FRAME_CODES * FRAME_CODE_SIZE

    @property
    def index(self) -> int:
        """Bytes of memory per segment."""
        return self.memory + self.codes


def table(measured: Measured) -> list[str]:
    """The lines of the table."""
    head = (
        "Segments",
        "Hours of video",
        "Index in memory",
        "Memory of the searcher's machine",
        "Disk: mirror and snapshots",
        "Kafka log, three replicas",
        "One backup",
        "Qdrant nodes of 64 GiB, two copies",
        "Two-core machine days to embed it (`sscd-motion`)",
    )
    return [_line(head), _line(["---"] * len(head)), *(_row(n, measured) for n in SEGMENTS)]


def _row(segments: int, measured: Measured) -> str:
    index = segments * measured.index
    log = measured.message + measured.codes
    machine = MERGE_COPIES * index
    quantised = VECTOR_DIMENSION + QDRANT_LINKS + QDRANT_PAYLOAD
    nodes = QDRANT_COPIES * segments * quantised / (NODE_SHARE * NODE_GIB * 2**30)
    hours = segments / SEGMENTS_PER_HOUR
    fits = machine <= LARGEST_GIB * 2**30
    return _line(
        (
            f"{segments:,}",
            f"{hours:,.0f}",
            _size(index),
            _size(machine) if fits else f"{_size(machine)}: take Qdrant",
            _size(segments * (measured.mirror + measured.codes) + SNAPSHOTS * index),
            _size(KAFKA_REPLICAS * segments * log),
            _size(segments * log + index),
            f"{max(3, -(-nodes // 1)):,.0f}",
            f"{hours / measured.speed / 24:,.1f}",
        )
    )


def _size(count: float) -> str:
    """Bytes as text, in GB or TB."""
    return f"{count / 1e12:,.1f} TB" if count >= 1e12 else f"{count / 1e9:,.1f} GB"


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(
            f"the documents no longer have the figure {pattern!r}; correct scripts/sizing.py"
        )
    return found[1].replace(",", "")


def fresh(text: str) -> str:
    """The document with its table rebuilt. Raises ValueError when its place is missing."""
    lines = "\n".join(table(Measured.read()))
    made, count = _PLACE.subn(lambda found: f"{found[1]}{lines}\n{found[2]}", text)
    if count != 1:
        raise ValueError(f"{PATH}: expected one place for the sizing table, found {count}")
    return made


def write() -> None:
    """Write the table into the document."""
    PATH.write_text(fresh(PATH.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        write()
        return
    held = PATH.read_text(encoding="utf-8")
    if fresh(held) != held:
        sys.exit(f"{PATH} is stale: python -m scripts.sizing")


if __name__ == "__main__":
    main()
