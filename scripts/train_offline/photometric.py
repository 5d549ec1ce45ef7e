"""Edits of colour and light, and what recompression, small sizes and blur leave of a picture."""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor
from torch.nn import functional

from scripts.train_offline.network import INPUT_SIDE

_BLOCK = 8
_BLUR_REACH = 6
# ITU-T T.871: RGB to YCbCr, without the offset.
_TO_YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])


def recoloured(pictures: Tensor, strength: float) -> Tensor:
    """Gamma, exposure, contrast, saturation, tint; seldom negative or in few levels. strength: 0..1."""
    x = pictures.clamp(1e-4, 1) ** torch.exp(_at_times(pictures, 0.5, -0.8, 0.8) * strength)
    x = x * torch.exp(_at_times(x, 0.5, -1.1, 0.45) * strength)
    x = x + _at_times(x, 0.4, -0.2, 0.35) * strength
    mean = x.mean((2, 3), keepdim=True)
    x = (x - mean) * torch.exp(_at_times(x, 0.4, -0.8, 0.6) * strength) + mean
    grey = x.mean(1, keepdim=True)
    saturation = 1 + _at_times(x, 0.4, -1, 1) * strength
    none = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.15 * strength
    x = (x - grey) * torch.where(none, 0.0, saturation) + grey
    x = x * torch.exp(_at_times(x, 0.4, -0.35, 0.35, channels=3) * strength)
    chosen = _some(x, 0.08 * strength)
    x[chosen] = 1 - x[chosen].clamp(0, 1)
    chosen, levels = _some(x, 0.06 * strength), float(random.choice((2, 3, 4)))
    x[chosen] = (x[chosen].clamp(0, 1) * levels).round() / levels
    return x.clamp(0, 1)


def degraded(pictures: Tensor, strength: float) -> Tensor:
    """Small sizes, blur, JPEG, noise, each at times. strength: 0..1."""
    x = pictures
    for _ in range(2):
        chosen = _some(x, 0.16 * strength)
        if len(chosen):
            x[chosen] = _small_once(x[chosen], random.choice((20, 28, 40, 56, 80)))
        chosen = _some(x, 0.14 * strength)
        if len(chosen):
            x[chosen] = _blurred(x[chosen], math.exp(random.uniform(-0.7, 1.0)))
    chosen = _some(x, 0.45 * strength)
    if len(chosen):
        coarseness = torch.exp(torch.rand(len(chosen), device=x.device) * 3.3 - 1.5)
        x[chosen] = _jpeg(x[chosen], coarseness)
    chosen = _some(x, 0.2 * strength)
    if len(chosen):
        level = torch.rand(len(chosen), 1, 1, 1, device=x.device) * 0.11 + 0.01
        x[chosen] = x[chosen] + torch.randn_like(x[chosen]) * level
    return x.clamp(0, 1)


def _at_times(like: Tensor, share: float, low: float, high: float, channels: int = 1) -> Tensor:
    """(n, channels, 1, 1): uniform numbers for a share of the pictures, 0 for the others."""
    count, device = len(like), like.device
    value = torch.rand(count, channels, 1, 1, device=device) * (high - low) + low
    return torch.where(torch.rand(count, 1, 1, 1, device=device) < share, value, 0.0)


def _some(like: Tensor, share: float) -> Tensor:
    return (torch.rand(len(like), device=like.device) < share).nonzero()[:, 0]


def _small_once(x: Tensor, side: int) -> Tensor:
    small = functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    mode = random.choice(("bilinear", "bicubic", "nearest"))
    return functional.interpolate(small, size=(INPUT_SIDE, INPUT_SIDE), mode=mode)


def _blurred(x: Tensor, sigma: float) -> Tensor:
    steps = torch.arange(-_BLUR_REACH, _BLUR_REACH + 1, device=x.device).float()
    weights = torch.exp(-(steps**2) / (2 * sigma * sigma))
    weights = (weights / weights.sum()).to(x.dtype)
    row = weights.view(1, 1, 1, -1).expand(3, 1, 1, -1).contiguous()
    column = weights.view(1, 1, -1, 1).expand(3, 1, -1, 1).contiguous()
    reach = _BLUR_REACH
    x = functional.conv2d(functional.pad(x, (reach, reach, 0, 0), mode="replicate"), row, groups=3)
    return functional.conv2d(
        functional.pad(x, (0, 0, reach, reach), mode="replicate"), column, groups=3
    )


def _jpeg(x: Tensor, coarseness: Tensor) -> Tensor:
    """What quantised cosine transforms of 8 x 8 blocks leave (ITU-T T.81), colours more coarsely."""
    count, blocks = len(x), INPUT_SIDE // _BLOCK
    basis, table = _cosines().to(x.device), _table().to(x.device)
    matrix = _TO_YCC.to(x.device)
    colours = torch.tensor([1.0, 1.6, 1.6], device=x.device)
    ycc = torch.einsum("ij,njhw->nihw", matrix, x)
    ycc = ycc.reshape(count, 3, blocks, _BLOCK, blocks, _BLOCK)
    step = table.view(1, 1, 1, _BLOCK, 1, _BLOCK) * coarseness.view(count, 1, 1, 1, 1, 1)
    step = (step * colours.view(1, 3, 1, 1, 1, 1)).clamp_min(1e-4)
    coded = torch.einsum("ab,ncybxd,ed->ncyaxe", basis, ycc, basis)
    coded = (coded / step).round() * step
    ycc = torch.einsum("ba,ncyaxe,ed->ncybxd", basis.T, coded, basis)
    ycc = ycc.reshape(count, 3, INPUT_SIDE, INPUT_SIDE)
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(matrix), ycc)


def _cosines() -> Tensor:
    """(8, 8): the orthonormal discrete cosine transform."""
    rows = [
        [
            math.cos((2 * column + 1) * row * math.pi / 16)
            * (math.sqrt(0.125) if row == 0 else 0.5)
            for column in range(_BLOCK)
        ]
        for row in range(_BLOCK)
    ]
    return torch.tensor(rows)


def _table() -> Tensor:
    """(8, 8): steps that grow with frequency, about those of JPEG at quality 50."""
    return torch.tensor(
        [[(16 + 10 * (row + column)) / 255 for column in range(_BLOCK)] for row in range(_BLOCK)]
    )
