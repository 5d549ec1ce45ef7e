"""The pictures a run trains on: drawn once, kept on the device as bytes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from scripts.train_offline.drawing import SIDE, Brush

# Of ten batches so many are crops of photographs (where there are some), and one each of the odd kinds.
_PHOTOGRAPHS, _TEN = 4, 10
_SMALLEST_CROP = 0.16
# Textures are drawn anew after so many batches.
_BATCHES_A_TEXTURE = 12


@dataclass(frozen=True)
class PicturePool:
    """pictures: uint8 (N, 3, SIDE, SIDE). photograph: int32 (N,), which one a picture is a crop of, so
    that two crops of one are never told apart; -1 for what was drawn."""

    pictures: Tensor
    photograph: Tensor


def load_photographs(folder: Path | None, device: torch.device) -> list[Tensor]:
    """uint8 (3, H, W) each; none without a folder."""
    if folder is None:
        return []
    return [
        torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1).to(device)
        for path in sorted(folder.glob("*.jpg"))
    ]


def draw_pool(
    count: int, photographs: Sequence[Tensor], brush: Brush, log: Callable[[str], None]
) -> PicturePool:
    """`count` pictures, drawn and cropped."""
    device = brush.device
    pictures = torch.empty(count, 3, SIDE, SIDE, dtype=torch.uint8, device=device)
    photograph = torch.full((count,), -1, dtype=torch.int32)
    batch, textures = (512, 1000) if device.type == "cuda" else (40, 16)
    done = number = 0
    palette = None
    while done < count:
        if number % _BATCHES_A_TEXTURE == 0:
            crops = _crops(textures // 4, photographs, device)[0] if photographs else None
            palette = brush.textures(textures, crops)
            log(f"{done} of {count} pictures")
        size = min(batch, count - done)
        drawn, of = _batch(size, number, palette, photographs, brush)
        pictures[done : done + size] = (drawn * 255).to(torch.uint8)
        photograph[done : done + size] = of
        done, number = done + size, number + 1
    return PicturePool(pictures, photograph.to(device))


def _batch(
    size: int, number: int, palette: Tensor | None, photographs: Sequence[Tensor], brush: Brush
) -> tuple[Tensor, Tensor]:
    """One batch of one kind, and which photographs it is of."""
    none = torch.full((size,), -1, dtype=torch.int32)
    turn = number % _TEN
    if photographs and turn < _PHOTOGRAPHS:
        return _crops(size, photographs, brush.device)
    if turn == _TEN - 1:
        odd = brush.random_networks(size) if number // _TEN % 2 else brush.noise(size)
        return brush.lit(odd), none
    if palette is None:
        raise ValueError("palette: expected textures, got none")
    return brush.lit(brush.leaves(size, palette, scene=turn % 2 == 0)), none


def _crops(
    count: int, photographs: Sequence[Tensor], device: torch.device
) -> tuple[Tensor, Tensor]:
    crops = torch.empty(count, 3, SIDE, SIDE, device=device)
    sources = torch.empty(count, dtype=torch.int32)
    for number in range(count):
        chosen = random.randrange(len(photographs))
        photograph = photographs[chosen]
        height, width = photograph.shape[1:]
        side = int(min(height, width) * math.exp(random.uniform(math.log(_SMALLEST_CROP), 0)))
        top, left = random.randint(0, height - side), random.randint(0, width - side)
        part = photograph[None, :, top : top + side, left : left + side].float() / 255
        crops[number] = functional.interpolate(
            part, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
        )[0]
        sources[number] = chosen
    return crops, sources
