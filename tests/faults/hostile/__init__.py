"""Odd and hostile files: `inputs(seed, count)` makes them, `given(folder)` reads them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.hostile import damage, documents, names, shapes, times, tracks
from tests.faults.hostile.base import HostileInput

__all__ = ["HostileInput", "given", "inputs"]

# Each kind and its share of the inputs.
_KINDS: dict[str, tuple[Callable[[random.Random, int], Iterator[HostileInput]], float]] = {
    "shapes": (shapes.make, 0.18),
    "times": (times.make, 0.14),
    "damage": (damage.make, 0.32),
    "documents": (documents.make, 0.14),
    "names": (names.make, 0.14),
    "tracks": (tracks.make, 0.08),
}


def inputs(seed: int, count: int) -> list[HostileInput]:
    """`count` inputs of every kind, the same for the same seed."""
    made: list[HostileInput] = []
    for kind, (make, share) in _KINDS.items():
        made += make(random.Random(f"{seed}/{kind}"), round(count * share))
    return made


def given(folder: Path) -> list[HostileInput]:
    """Every file under a folder; nothing is known of them."""
    found = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        inside = path.relative_to(folder)
        name = "__".join(inside.parts).encode(errors="surrogateescape")
        found.append(HostileInput("given", str(inside), name, path.read_bytes()))
    return found
