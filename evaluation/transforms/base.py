"""A transform: a name, a group, its parameters, and a function from a video to a video."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from common.types import UInt8Array, check_array
from evaluation.records import CopiedRange

Group: TypeAlias = Literal["paper", "photometric", "composed", "temporal", "hard"]


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
    """The result of a transform.

    pieces: which ranges of the result show which ranges of the original; one whole range if time is
    unchanged. partners: ids of other videos in it. crf: of x264 for writing it.
    """

    film: Film
    pieces: tuple[CopiedRange, ...]
    partners: tuple[str, ...] = ()
    crf: int = 23


@dataclass(frozen=True, slots=True)
class TransformContext:
    """The inputs of a transform besides the video.

    rng: the same for the same video and transform. partner: `partner(n)` is the n-th video of another
    family, with its id; n may be larger than their number.
    """

    rng: np.random.Generator
    partner: Callable[[int], tuple[str, Film]]


@dataclass(frozen=True, slots=True)
class Transform:
    """One named edit. parameters: as shown in `docs/evaluation.md`. partners: the largest number of other
    videos that it draws, the first ones of `TransformContext.partner`."""

    name: str
    group: Group
    apply: Callable[[Film, TransformContext], TransformResult]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    partners: int = 0
