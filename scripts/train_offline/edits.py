"""Two views of a picture: lightly edited, as a reference is, and heavily, as a copy may be."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from scripts.train_offline.network import INPUT_SIDE
from scripts.train_offline.photometric import degraded, recoloured

_SIDE = INPUT_SIDE


@dataclass(frozen=True)
class Strength:
    """How heavy edits are, and how often each is made."""

    smallest_crop: float = 0.32
    whole: float = 0.35
    turned: float = 0.3
    most_turned: float = 0.5
    upside_down: float = 0.15
    letterboxed: float = 0.15
    inserted: float = 0.14
    smallest_insert: float = 0.28
    covered: float = 0.08
    blended: float = 0.08
    halved: float = 0.06
    written_on: float = 0.25


def clean_view(pictures: Tensor) -> Tensor:
    """float (n, 3, 128, 128): cropped a little, perhaps mirrored, recompressed a little."""
    count, device = len(pictures), pictures.device
    stretch = torch.exp(_uniform(-0.3, 0.3, count, device))
    scale = _uniform(0.75, 1, count, device)
    across, down = (scale * stretch).clamp(max=1), (scale / stretch).clamp(max=1)
    right, below = (_uniform(-1, 1, count, device) * (1 - side) for side in (across, down))
    still = torch.zeros(count, device=device)
    view, _ = _warped(pictures, across * _sign(count, 0.5, device), down, right, below, still)
    return degraded(recoloured(view, 0.3), 0.35)


def edited_view(pictures: Tensor, overlays: Tensor, strength: Strength) -> tuple[Tensor, Tensor]:
    """float (n, 3, 128, 128), and int64 (n,): the other picture that is shown as well, or -1."""
    count, device = len(pictures), pictures.device
    other_of = torch.roll(torch.arange(count, device=device), random.randint(1, count - 1))
    view = recoloured(_placed(pictures, strength), 1.0)
    other = functional.interpolate(pictures[other_of], size=(_SIDE, _SIDE), mode="bilinear")
    view, mixed = _mixed(view, recoloured(other, 0.5), strength)
    chosen = _some(count, strength.written_on, device)
    if len(chosen):
        drawn = overlays[torch.randint(len(overlays), (len(chosen),), device=device)].float() / 255
        view[chosen] = view[chosen] * (1 - drawn[:, 3:]) + drawn[:, :3] * drawn[:, 3:]
    return degraded(view, 1.0), torch.where(mixed, other_of, torch.full_like(other_of, -1))


def _placed(pictures: Tensor, strength: Strength) -> Tensor:
    """Cropped, stretched, turned, mirrored, upside down, or with bars around it."""
    count, device = len(pictures), pictures.device
    ones = torch.ones(count, device=device)
    scale = torch.exp(_uniform(math.log(strength.smallest_crop), 0.05, count, device))
    scale = torch.where(_chance(count, strength.whole, device), ones, scale)
    stretch = torch.exp(torch.randn(count, device=device) * 0.2)
    bars = _chance(count, strength.letterboxed, device)
    width = torch.where(bars, _uniform(1.05, 1.9, count, device), ones)
    axis = torch.rand(count, device=device)
    across = scale * stretch * torch.where(axis < 0.66, width, ones)
    down = scale / stretch * torch.where(axis > 0.33, width, ones)
    angle = _uniform(-strength.most_turned, strength.most_turned, count, device)
    angle = torch.where(_chance(count, strength.turned, device), angle, torch.zeros_like(angle))
    right, below = (_uniform(-1, 1, count, device) * (1 - side).abs() for side in (across, down))
    mirror, flip = _sign(count, 0.5, device), _sign(count, strength.upside_down, device)
    view, inside = _warped(pictures, across * mirror, down * flip, right, below, angle)
    black = torch.rand(count, 1, 1, 1, device=device) < 0.5
    background = torch.where(black, 0.0, torch.rand(count, 3, 1, 1, device=device))
    return view * inside + background * (1 - inside)


def _mixed(view: Tensor, other: Tensor, strength: Strength) -> tuple[Tensor, Tensor]:
    """Beside, within, under or through another picture; bool (n,): whether the other is shown."""
    count, device = len(view), view.device
    kind = torch.rand(count, device=device)
    bounds = torch.tensor(
        [strength.inserted, strength.covered, strength.blended, strength.halved]
    ).cumsum(0)
    inserted = kind < bounds[0]
    blended = (kind >= bounds[1]) & (kind < bounds[2])
    halved = (kind >= bounds[2]) & (kind < bounds[3])
    mixed = kind < bounds[3]
    width = torch.where(
        inserted,
        _uniform(strength.smallest_insert, 0.85, count, device),
        _uniform(0.3, 0.68, count, device),
    )
    height = (width * torch.exp(torch.randn(count, device=device) * 0.15)).clamp(0.25, 0.9)
    beside = torch.rand(count, device=device) < 0.5
    width = torch.where(halved, torch.where(beside, 0.5, 1.0), width)
    height = torch.where(halved, torch.where(beside, 1.0, 0.5), height)
    middle = [_uniform(-1, 1, count, device) * (1 - side) for side in (width, height)]
    edge = 0.5 * _sign(count, 0.5, device)
    across = torch.where(halved, torch.where(beside, edge, 0 * edge), middle[0])
    down = torch.where(halved, torch.where(beside, 0 * edge, edge), middle[1])
    own_on_top = (inserted | halved).view(-1, 1, 1, 1)
    top, base = torch.where(own_on_top, view, other), torch.where(own_on_top, other, view)
    result = view.clone()
    chosen = (mixed & ~blended).nonzero()[:, 0]
    if len(chosen):
        w, h = width[chosen], height[chosen]
        still = torch.zeros(len(chosen), device=device)
        laid, inside = _warped(
            top[chosen], 1 / w, 1 / h, -across[chosen] / w, -down[chosen] / h, still
        )
        result[chosen] = laid * inside + base[chosen] * (1 - inside)
    chosen = blended.nonzero()[:, 0]
    if len(chosen):
        share = _uniform(0.4, 0.75, len(chosen), device).view(-1, 1, 1, 1)
        result[chosen] = view[chosen] * share + other[chosen] * (1 - share)
    return result, mixed


def _warped(
    pictures: Tensor, across: Tensor, down: Tensor, right: Tensor, below: Tensor, angle: Tensor
) -> tuple[Tensor, Tensor]:
    """Pixel p shows what lies at scale * turn(p) + shift; and, (n, 1, H, W), where that is inside."""
    cosine, sine = angle.cos(), angle.sin()
    matrix = torch.stack(
        [
            torch.stack([across * cosine, -across * sine, right], 1),
            torch.stack([down * sine, down * cosine, below], 1),
        ],
        1,
    )
    grid = functional.affine_grid(matrix, [len(pictures), 3, _SIDE, _SIDE], align_corners=False)
    view = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return view, (grid.abs().amax(3) <= 1)[:, None].float()


def _uniform(low: float, high: float, count: int, device: torch.device) -> Tensor:
    return torch.rand(count, device=device) * (high - low) + low


def _chance(count: int, share: float, device: torch.device) -> Tensor:
    return torch.rand(count, device=device) < share


def _sign(count: int, negative: float, device: torch.device) -> Tensor:
    return 1 - 2 * _chance(count, negative, device).float()


def _some(count: int, share: float, device: torch.device) -> Tensor:
    return _chance(count, share, device).nonzero()[:, 0]
