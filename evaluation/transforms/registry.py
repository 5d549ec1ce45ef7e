"""Every transform by its name, and what one draws on for one video."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import get_args

import numpy as np

from common.errors import UsageError
from evaluation.transforms import camcording as filming
from evaluation.transforms import composed, geometric, overlays, paper, photometric, temporal
from evaluation.transforms import composites as mixes
from evaluation.transforms.base import Film, Group, Transform, TransformContext

GROUPS: tuple[Group, ...] = get_args(Group)

TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        transform.name: transform
        for group in GROUPS
        for module in (
            *(paper, geometric, photometric, overlays, composed, filming, temporal, mixes),
        )
        for transform in module.TRANSFORMS
        if transform.group == group
    }
)
"""In the order they are reported in: group by group."""


def by_group(group: str) -> tuple[Transform, ...]:
    """The transforms of a group, in order. Raises UsageError for an unknown one."""
    if group not in GROUPS:
        raise UsageError(f"{group!r} is no group of transforms; there are: {', '.join(GROUPS)}")
    return tuple(one for one in TRANSFORMS.values() if one.group == group)


def choose(patterns: Iterable[str]) -> tuple[Transform, ...]:
    """The transforms that any pattern names, in the registry's order: all of them for no pattern.

    A pattern is a name, a group, or a name with `*`, `?` and `[...]` in it. Raises UsageError for one
    that names none.
    """
    wanted = list(patterns)
    if not wanted:
        return tuple(TRANSFORMS.values())
    chosen: set[str] = set()
    for pattern in wanted:
        found = {
            one.name
            for one in TRANSFORMS.values()
            if one.group == pattern or fnmatchcase(one.name, pattern)
        }
        if not found:
            raise UsageError(
                f"{pattern!r} names no transform; groups: {', '.join(GROUPS)}; "
                f"transforms: {', '.join(TRANSFORMS)}"
            )
        chosen |= found
    return tuple(one for one in TRANSFORMS.values() if one.name in chosen)


def material(
    transform_name: str, video_id: str, partner: Callable[[int], tuple[str, Film]]
) -> TransformContext:
    """What a transform draws on for a video: chance that depends on the two names alone, so that a query
    is the same in every run, whatever else is evaluated. partner: as in Material, for any n from 0 on."""
    # A length before the first name: no two pairs of names read the same.
    text = f"{len(transform_name)}:{transform_name}{video_id}"
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return TransformContext(np.random.default_rng(int.from_bytes(digest, "big")), partner)
