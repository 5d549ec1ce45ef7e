#!/usr/bin/env python3
"""Write the sizing tables of docs/operations/install.md from figures of benchmarks in the documents.

python -m scripts.sizing                     writes the tables into the file
python -m scripts.sizing --prices 2 3 0.08   prints what each size costs at these prices
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.settings import KafkaSettings, ServiceSettings
from common.types import FRAME_CODE_SIZE, VECTOR_DIMENSION
from scripts.document import filled

ROOT = Path(__file__).parents[1]
PATH = ROOT / "docs" / "operations" / "install.md"

SEGMENTS = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
SEGMENTS_PER_HOUR = 900
# A segment of 4 s has a frame code per half second.
FRAME_CODES = 8
# Copies of the graph during a merge that needs room; bytes for the process, queries and their decoders.
MERGE_COPIES, PROCESS_BYTES = 2, 2_000_000_000
# Two snapshots are kept while the next one is written.
SNAPSHOTS = 3
KAFKA_REPLICAS = 3
# Qdrant as the index, calculated and not measured: a quantised vector (a byte per number), links of both
# directions (2 x 16 of 4 bytes), and what payload indexes take.
QDRANT_COPIES, QDRANT_LINKS, QDRANT_PAYLOAD = 2, 2 * 16 * 4, 150
# With two copies each node then has four, so the cluster can grow to twice the nodes.
SHARDS_PER_NODE = 2
# A first embedding of everything that takes a month, and room to run twice the embedders.
DAYS_TO_EMBED, PARTITIONS_PER_EMBEDDER = 30, 2
# Backups that a service keeps by default.
BACKUPS = ServiceSettings().backup_keep
# Memory of a Qdrant node, and the part of it that the index may take.
NODE_GIB, NODE_SHARE = 64, 0.75
# Above this no usual machine has the memory for the index in FAISS.
LARGEST_GIB = 1_024


@dataclass(frozen=True)
class Measured:
    """Figures of the documents, measured on two cores. memory: bytes per segment without frame codes.
    message, mirror: bytes per segment. speed: times real time, `sscd-motion`. second: how much longer
    indexing takes with a second profile, as a factor."""

    memory: int
    message: float
    mirror: float
    speed: float
    second: float

    @classmethod
    def read(cls) -> Measured:
        """From README.md, docs/streaming.md and the document itself."""
        readme, streaming, install = (
            path.read_text(encoding="utf-8")
            for path in (ROOT / "README.md", ROOT / "docs" / "streaming.md", PATH)
        )
        return cls(
            int(_found(r"takes (\d+) bytes of memory per segment", readme)),
            1000 * float(_found(r"\| message of an embedding \| ([\d.]+) kB \|", streaming)),
            1000 * float(_found(r"about ([\d.]+) kB in the mirror", install)),
            float(_found(r"indexed at (\d+) \(`sscd-motion`\)", readme)),
            float(_found(r"\| time to index \| ([\d.]+) times", install)),
        )

    @property
    def codes(self) -> int:
        """Bytes of the frame codes of a segment."""
        return FRAME_CODES * FRAME_CODE_SIZE

    @property
    def index(self) -> int:
        """Bytes of memory per segment."""
        return self.memory + self.codes


@dataclass(frozen=True)
class Size:
    """What a catalogue of so many segments takes. All sizes in bytes; days: of a machine of two cores.
    profiles: 2 with a second opinion, whose index has as many vectors as the first one."""

    segments: int
    measured: Measured
    profiles: int = 1

    @property
    def hours(self) -> float:
        """Hours of video."""
        return self.segments / SEGMENTS_PER_HOUR

    @property
    def index(self) -> int:
        return self.profiles * self.segments * self.measured.index

    @property
    def machine(self) -> int:
        """Memory of the machine that has the index."""
        return MERGE_COPIES * self.index + PROCESS_BYTES

    @property
    def fits(self) -> bool:
        """Whether a usual machine has this memory."""
        return self.machine <= LARGEST_GIB * 2**30

    @property
    def disk(self) -> float:
        """The mirror and the snapshots."""
        return self.vectors + SNAPSHOTS * self.index

    @property
    def vectors(self) -> float:
        """All vectors and frame codes in Qdrant, without copies."""
        return self.profiles * self.segments * (self.measured.mirror + self.measured.codes)

    @property
    def _log(self) -> float:
        return self.profiles * self.segments * (self.measured.message + self.measured.codes)

    @property
    def log(self) -> float:
        """Kafka's log of embeddings, all replicas."""
        return KAFKA_REPLICAS * self._log

    @property
    def backup(self) -> float:
        return self._log + self.index

    @property
    def days(self) -> float:
        """Time that one machine takes to embed it."""
        longer = 1.0 if self.profiles == 1 else self.measured.second
        return longer * self.hours / self.measured.speed / 24

    @property
    def embedders(self) -> int:
        return math.ceil(self.days / DAYS_TO_EMBED)

    @property
    def nodes(self) -> int:
        """Nodes of a Qdrant cluster that has the index."""
        quantised = VECTOR_DIMENSION + QDRANT_LINKS + QDRANT_PAYLOAD
        vectors = self.profiles * self.segments
        needed = QDRANT_COPIES * vectors * quantised / (NODE_SHARE * NODE_GIB * 2**30)
        return max(3, math.ceil(needed))


def storage(measured: Measured, profiles: int = 1) -> list[str]:
    """The lines of the table of memory and disks. Kafka's log is left out of that of two profiles, which
    are two logs."""
    columns: dict[str, Callable[[Size], str]] = {
        "Segments": lambda size: f"{size.segments:,}",
        "Hours of video": lambda size: f"{size.hours:,.0f}",
        "Index in memory": lambda size: _bytes(size.index),
        "Memory of the machine": lambda size: (
            _bytes(size.machine) if size.fits else f"{_bytes(size.machine)}: use Qdrant"
        ),
        "Disk: mirror and snapshots": lambda size: _bytes(size.disk),
        "One backup": lambda size: _bytes(size.backup),
    }
    if profiles == 1:
        columns["Kafka log, three replicas"] = lambda size: _bytes(size.log)
    return _table(columns, measured, profiles)


def machines(measured: Measured) -> list[str]:
    """The lines of the table of machines, partitions and shards."""
    return _table(
        {
            "Segments": lambda size: f"{size.segments:,}",
            "Machine days to embed it": lambda size: f"{size.days:,.1f}",
            f"Embedders, to do it in {DAYS_TO_EMBED} days": lambda size: f"{size.embedders:,}",
            "Kafka partitions": lambda size: f"{_partitions(size):,}",
            f"Qdrant nodes of {NODE_GIB} GiB, two copies": lambda size: f"{size.nodes:,}",
            "Qdrant shards": lambda size: f"{SHARDS_PER_NODE * size.nodes:,}",
        },
        measured,
    )


def costs(
    measured: Measured, day: float, memory: float, disk: float, profiles: int = 1
) -> list[str]:
    """The lines of a table of costs, of one profile with Kafka's log. day: price of a machine of two
    cores per day. memory, disk: price per GB and month."""

    def kept(size: Size) -> float:
        held = size.disk if size.fits else QDRANT_COPIES * size.vectors
        return held + (size.log if profiles == 1 else 0.0) + BACKUPS * size.backup

    def in_memory(size: Size) -> float:
        return size.machine if size.fits else size.nodes * NODE_GIB * 2**30

    return _table(
        {
            "Segments": lambda size: f"{size.segments:,}",
            "Embedding, once": lambda size: f"{day * size.days:,.0f}",
            "Memory, per month": lambda size: f"{memory * in_memory(size) / 1e9:,.0f}",
            f"Disks with {BACKUPS} backups, per month": lambda size: (
                f"{disk * kept(size) / 1e9:,.0f}"
            ),
        },
        measured,
        profiles,
    )


def _partitions(size: Size) -> int:
    return max(KafkaSettings().partitions, PARTITIONS_PER_EMBEDDER * size.embedders)


def _table(
    columns: Mapping[str, Callable[[Size], str]], measured: Measured, profiles: int = 1
) -> list[str]:
    sizes = [Size(segments, measured, profiles) for segments in SEGMENTS]
    rows = [[cell(size) for cell in columns.values()] for size in sizes]
    return [_line(row) for row in (list(columns), ["---"] * len(columns), *rows)]


def _bytes(count: float) -> str:
    """Bytes as text, in GB or TB."""
    return f"{count / 1e12:,.1f} TB" if count >= 1e12 else f"{count / 1e9:,.1f} GB"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(
            f"the documents no longer have the figure {pattern!r}; correct scripts/sizing.py"
        )
    return found[1].replace(",", "")


def fresh(text: str) -> str:
    """The document with its tables rebuilt. Raises ValueError when their place is missing."""
    measured = Measured.read()
    parts = [
        *("With a second opinion:", "", *storage(measured, 2), ""),
        *("With one profile, and per generation over Kafka:", "", *storage(measured), ""),
        *machines(measured),
    ]
    return filled(text, "sizing", "\n".join(parts))


def write() -> None:
    """Write the tables into the document."""
    PATH.write_text(fresh(PATH.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prices", type=float, nargs=3, metavar=("DAY", "MEMORY", "DISK"))
    asked = parser.parse_args()
    if not asked.prices:
        write()
    else:
        measured = Measured.read()
        day, memory, disk = asked.prices
        one, two = (costs(measured, day, memory, disk, profiles) for profiles in (1, 2))
        parts = ["With a second opinion:", "", *two, "", "With one profile, over Kafka:", "", *one]
        print("\n".join(parts))


if __name__ == "__main__":
    main()
