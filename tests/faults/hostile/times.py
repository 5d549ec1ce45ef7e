"""Clocks that stand still, jump, run backwards or lie; very few frames and very many."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from common.types import UInt8Array
from tests.faults.hostile.base import HostileInput, film, pack, picture

_SECOND = 1000

Clock = Callable[[random.Random], list[int]]


def _steady(step_ms: int, count: int) -> Clock:
    return lambda _: [number * step_ms for number in range(count)]


def _held(chance: random.Random) -> list[int]:
    """Slides: each picture stays for seconds."""
    ticks = [0]
    for _ in range(6):
        ticks.append(ticks[-1] + chance.randrange(1500, 7000))
    return ticks


def _forward(chance: random.Random) -> list[int]:
    jump = chance.randrange(60, 20 * 3600) * _SECOND
    return [number * 80 + (jump if number >= 20 else 0) for number in range(40)]


def _wild(chance: random.Random) -> list[int]:
    at = chance.randrange(5, 30)
    return [number * 80 + (720 * _SECOND if number == at else 0) for number in range(40)]


def _jitter(chance: random.Random) -> list[int]:
    return sorted({number * 80 + chance.randrange(-35, 36) + 40 for number in range(40)})


_CLOCKS: dict[str, Clock] = {
    "one frame": _steady(40, 1),
    "two frames": _steady(40, 2),
    "a frame each ten seconds": _steady(10_000, 7),
    "a frame each minute": _steady(60_000, 5),
    "a thousand frames a second": _steady(1, 900),
    "begins at an hour": lambda _: [3_600_000 + number * 80 for number in range(30)],
    "held pictures": _held,
    "jumps forward": _forward,
    "one wild stamp": _wild,
    "jitter": _jitter,
    "seven frames a second": _steady(143, 40),
}


def make(chance: random.Random, count: int) -> Iterator[HostileInput]:
    """A long black film first (six hours; one where few inputs are wanted), then every clock in turn."""
    hours = 6 if count > 20 else 1
    black = _black(hours * 3600)
    yield HostileInput("times", f"{hours} h of black", b"black.mkv", black, usable=True)
    clocks = list(_CLOCKS.items())
    for number in range(count - 1):
        what, clock = clocks[number % len(clocks)]
        if number >= len(clocks) and number % 4 == 0:
            yield _joined(chance, number)
            continue
        ticks = clock(chance)
        content = pack(_frames(chance, len(ticks)), codec="libx264", ticks_ms=ticks)
        yield HostileInput("times", what, b"time-%03d.mkv" % number, content, usable=True)


def _frames(chance: random.Random, count: int) -> Sequence[UInt8Array]:
    if count <= 60:
        return film(chance, count=count)
    seed = chance.randrange(1 << 30)
    few = [picture(seed, number, 64, 48) for number in range(20)]
    return [few[number % 20] for number in range(count)]


def _black(seconds: int) -> bytes:
    """A film of nothing, a frame each two seconds."""
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    count = seconds // 2
    ticks = [2000 * number for number in range(count)]
    return pack([frame] * count, codec="libx264", ticks_ms=ticks)


def _joined(chance: random.Random, number: int) -> HostileInput:
    """Two takes in one transport stream, the clock beginning anew."""
    takes = [pack(film(chance), container="mpegts", codec="mpeg2video") for _ in range(2)]
    return HostileInput(
        "times", "joined takes", b"joined-%03d.ts" % number, b"".join(takes), usable=True
    )
