"""The network: a plain residual network, 128 x 128 pictures to 512 numbers of unit norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

INPUT_SIDE = 128
DIMENSION = 512
# Channels by stage; 2.5 M weights and some 290 M multiplications a picture.
WIDTHS = (32, 48, 96, 192, 768)
_MEAN, _DEVIATION = 0.45, 0.25
# Generalised-mean pooling (Radenovic et al. 2018) with a fixed exponent.
_POWER = 3.0


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.first_norm, self.second_norm = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        # A block begins as the identity.
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        inner = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(x + self.second_norm(self.second(inner)))


class CopyNetwork(nn.Module):
    """float32 (n, 3, 128, 128) RGB in 0..1 to float32 (n, 512), rows of unit norm."""

    def __init__(self) -> None:
        super().__init__()
        stem, first, second, third, last = WIDTHS
        self.body = nn.Sequential(
            *(_half(3, stem), _half(stem, first), Block(first), Block(first)),
            *(_half(first, second), Block(second), Block(second)),
            *(_half(second, third), Block(third), Block(third)),
            *(nn.Conv2d(third, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU()),
        )
        self.head = nn.Linear(last, DIMENSION)

    def forward(self, pictures: Tensor) -> Tensor:
        """Descriptors."""
        return functional.normalize(self.described(pictures))

    def described(self, pictures: Tensor) -> Tensor:
        """float32 (n, 512), rows of any norm."""
        x = self.body((pictures - _MEAN) / _DEVIATION).float()
        pooled = x.clamp_min(1e-4).pow(_POWER).mean((2, 3)).pow(1 / _POWER)
        described: Tensor = self.head(pooled)
        return described


def _half(inner: int, outer: int) -> nn.Sequential:
    """Half the width and height."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, 2, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()
    )


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weights decay; norms and biases do not."""
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Have an average of the weights follow the network by 1 - keep; running statistics are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - keep)
    for to, of in zip(average.buffers(), network.buffers(), strict=True):
        to.copy_(of)
