"""Odd and hostile files, made from a seed: `inputs(seed, count)` gives them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tests.faults.hostile import damage, documents, names, shapes, times, tracks
from tests.faults.hostile.base import HostileInput

__all__ = ["HostileInput", "inputs"]

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
