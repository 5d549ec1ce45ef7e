"""What a transform is: a name, a group, its parameters, and a function from a video to a video."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from common.types import UInt8Array, check_array
from evaluation.data.records import CopiedRange

Group: TypeAlias = Literal["paper", "photometric", "composed", "temporal"]


@dataclass(frozen=True, slots=True)
class Film:
    """A whole video in memory. frames: uint8 (T, H, W, 3) RGB, T >= 1; a fixed rate."""

    frames: UInt8Array
    frames_per_second: float

    def __post_init__(self) -> None:
        check_array("frames", self.frames, np.uint8, ("T", "H", "W", 3))
        if not len(self.frames):
            raise ValueError("frames: expected at least one, got none")

    @property
    def duration_seconds(self) -> float:
        return len(self.frames) / self.frames_per_second


@dataclass(frozen=True, slots=True)
class TransformResult:
    """What a transform made of a video.

    pieces: which stretches of the result show which of the original, the whole of both where time is left
    alone. partners: ids of other videos that can be seen in it. crf: how coarsely x264 is to write it.
    """

    film: Film
    pieces: tuple[CopiedRange, ...]
    partners: tuple[str, ...] = ()
    crf: int = 23


@dataclass(frozen=True, slots=True)
class TransformContext:
    """What a transform may draw on: a generator of its own, the same for the same video and transform,
    and other videos, of other families than the original's. `partner(n)`: the n-th of them, with its id;
    any n from 0 on, also where there are fewer."""

    rng: np.random.Generator
    partner: Callable[[int], tuple[str, Film]]


@dataclass(frozen=True, slots=True)
class Transform:
    """One named edit. `parameters` are what `docs/evaluation.md` says of it."""

    name: str
    group: Group
    apply: Callable[[Film, TransformContext], TransformResult]
    parameters: Mapping[str, Any] = field(default_factory=dict)
