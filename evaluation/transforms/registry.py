"""Every transform by its name, and the context of a transform for one video."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import get_args

import numpy as np

from common.errors import UsageError
from evaluation.transforms import camcording as filming
from evaluation.transforms import composed, geometric, hard, overlays, paper, photometric, temporal
from evaluation.transforms import composites as mixes
from evaluation.transforms.base import Film, Group, Transform, TransformContext

GROUPS: tuple[Group, ...] = get_args(Group)

TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        transform.name: transform
        for group in GROUPS
        for module in (
            *(paper, geometric, photometric, overlays, composed, filming, temporal, mixes, hard),
        )
        for transform in module.TRANSFORMS
        if transform.group == group
    }
)
"""In the order of reports, group by group."""


def choose(patterns: Iterable[str]) -> tuple[Transform, ...]:
    """The transforms that match any pattern, in the order of the registry; without
    patterns all but the group `hard`.

    A pattern is a name, a group, or a name with `*`, `?` and `[...]`. Raises UsageError for a pattern
    that matches none.
    """
    patterns = list(patterns)
    if not patterns:
        return tuple(transform for transform in TRANSFORMS.values() if transform.group != "hard")
    chosen: set[str] = set()
    for pattern in patterns:
        names = {
            transform.name
            for transform in TRANSFORMS.values()
            if transform.group == pattern or fnmatchcase(transform.name, pattern)
        }
        if not names:
            raise UsageError(
                f"{pattern!r} names no transform; groups: {', '.join(GROUPS)}; "
                f"transforms: {', '.join(TRANSFORMS)}"
            )
        chosen |= names
    return tuple(transform for transform in TRANSFORMS.values() if transform.name in chosen)


def context_for(
    transform_name: str, video_id: str, partner: Callable[[int], tuple[str, Film]]
) -> TransformContext:
    """The context of a transform for a video. The random seed depends only on the two names, so a query
    is the same in every run. partner: see `TransformContext`."""
    # The length makes the text of every pair of names unique.
    text = f"{len(transform_name)}:{transform_name}{video_id}"
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return TransformContext(np.random.default_rng(int.from_bytes(digest, "big")), partner)
