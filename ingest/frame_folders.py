"""Folders of numbered pictures that are videos: how they are recognised, and their pictures in order."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from common.video.formats import PICTURE_SUFFIXES

# Folders of pictures have no frame rate; this is the rate of DAVIS.
FRAME_FOLDER_FPS = 24.0
_NUMBERED = re.compile(r"\d+$")
# Minimum number of digits with leading zeros, and of pictures with and without them. Programs write
# frames with leading zeros; people and media libraries do not (`backdrop1.jpg`, `fanart2.jpg`).
_PADDED_DIGITS = 3
_LEAST_PADDED, _LEAST = 2, 12
# Lost frames, or a cover among the frames, are tolerated.
_SHARE = 0.9


def frame_paths(folder: Path) -> list[Path]:
    """The numbered pictures of a folder in the order of their numbers."""
    pictures = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and _NUMBERED.search(path.stem)
    ]
    return sorted(pictures, key=lambda path: (int(_NUMBERED.findall(path.stem)[0]), path.name))


def is_frame_sequence(pictures: Sequence[str], *, named: bool = False) -> bool:
    """Whether pictures with these names are the frames of one video: one stem and numbers with a constant
    step. named: the user says so; two numbered pictures are then enough."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in pictures:
        stem, suffix = os.path.splitext(name)
        match = _NUMBERED.search(stem)
        if match:
            groups.setdefault((stem[: match.start()], suffix.lower()), []).append(match[0])
    count = sum(map(len, groups.values()))
    if named:
        return count > 1
    digits = max(groups.values(), key=len, default=[])
    padded = (
        len({len(digit_group) for digit_group in digits}) == 1 and len(digits[0]) >= _PADDED_DIGITS
    )
    if len(digits) < (_LEAST_PADDED if padded else _LEAST) or len(digits) < _SHARE * count:
        return False
    numbers = sorted({int(digit_group) for digit_group in digits})
    step = math.gcd(*(later - number for number, later in pairwise(numbers)))
    return bool(step) and len(numbers) >= _SHARE * ((numbers[-1] - numbers[0]) // step + 1)
