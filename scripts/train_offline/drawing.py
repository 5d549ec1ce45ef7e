"""Pictures drawn on the device: textures, fallen leaves, scenes, and what random networks make of noise.

Every function returns float32 (n, 3, SIDE, SIDE) in 0..1 unless it says otherwise. Fallen leaves ("dead
leaves", Lee, Mumford and Huang 2001) have the edges and occlusions of natural pictures, fields of 1/f
noise their spectrum (Field 1987), random networks their mixtures (Baradad et al. 2021, "Learning to See
by Looking at Noise").
"""

from __future__ import annotations

import random

import torch
from torch import Tensor
from torch.nn import functional

# Larger than what the network sees, so that a crop still has all its detail.
SIDE = 176
_SHAPES = 4


class Brush:
    """Draws on one device, and so fast that a whole pool takes half a minute on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.half = torch.float16 if device.type == "cuda" else torch.float32
        line = torch.linspace(-1, 1, SIDE, device=device)
        self._y, self._x = torch.meshgrid(line, line, indexing="ij")

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform numbers of a shape."""
        return torch.rand(*shape, device=self.device) * (high - low) + low

    def fields(self, count: int, side: int, slope: Tensor) -> Tensor:
        """(count, side, side): noise whose amplitude falls as 1 / frequency ** slope, unit variance."""
        rows = torch.fft.fftfreq(side, device=self.device)[:, None]
        columns = torch.fft.rfftfreq(side, device=self.device)[None]
        stretch = 2 ** self.uniform(-1.2, 1.2, count, 1, 1)
        frequency = ((rows * stretch) ** 2 + (columns / stretch) ** 2 + side**-2.0).sqrt()
        noise = torch.randn(count, side, side // 2 + 1, 2, device=self.device)
        spectrum = torch.view_as_complex(noise) * frequency ** -slope.view(count, 1, 1)
        field = torch.fft.irfft2(spectrum, s=(side, side))
        field = field - field.mean((1, 2), keepdim=True)
        return field / field.std((1, 2), keepdim=True).clamp_min(1e-6)

    def noise(self, count: int, low: float = 0.8, high: float = 2.4) -> Tensor:
        """Coloured 1/f noise."""
        slope = self.uniform(low, high, 3 * count)
        return self._coloured(self.fields(3 * count, SIDE, slope).view(count, 3, SIDE, SIDE))

    def textures(self, count: int, photographs: Tensor | None) -> Tensor:
        """Noise, gratings, gradients and, where there are some, crops of photographs; `half` floats."""
        count_per_kind = count // 4
        kinds = [
            self.noise(2 * count_per_kind, 0.4, 2.2),
            self._gratings(count_per_kind),
            self._gradients(count_per_kind),
        ]
        if photographs is not None:
            kinds.append(photographs)
        return torch.cat(kinds).to(self.half)

    def leaves(self, count: int, textures: Tensor, *, scene: bool) -> Tensor:
        """Shapes that cover each other, the last ones small; in a scene they stand on a ground."""
        shapes = random.choice((12, 25, 45, 80))
        canvas = self._some(textures, count).clone()
        horizon = self.uniform(-0.6, 0.5, count, 1, 1)
        if scene:
            canvas = self._ground(canvas, horizon)
        largest = self.uniform(0.25, 0.9, count, 1, 1)
        for number in range(shapes):
            share = 0.08 + 0.92 * (1 - number / shapes) ** 2
            radius = largest * share * self.uniform(0.25, 1, count, 1, 1)
            canvas = self._shape(
                canvas, textures, radius, number % _SHAPES, horizon if scene else None
            )
        return canvas.float()

    def random_networks(self, count: int) -> Tensor:
        """What untrained generators make of noise, another network with each call."""
        x = torch.randn(count, 48, 6, 6, device=self.device) * 0.8
        for layer in range(5):
            if layer:
                x = functional.interpolate(x, scale_factor=2, mode="bilinear")
            width = 48 if layer < 3 else 24
            kernel = torch.randn(width, x.shape[1], 3, 3, device=self.device)
            x = functional.conv2d(x, kernel / (3 * x.shape[1] ** 0.5), padding=1)
            x = functional.instance_norm(x) + 0.3 * torch.randn(1, width, 1, 1, device=self.device)
            x = torch.sin(x * 1.5) if random.random() < 0.3 else functional.leaky_relu(x, 0.2)
            if layer > 1:
                x = x + 0.15 * torch.randn(count, 1, *x.shape[2:], device=self.device)
        mix = torch.randn(3, x.shape[1], 1, 1, device=self.device) / x.shape[1] ** 0.5
        x = functional.interpolate(functional.conv2d(x, mix), size=(SIDE, SIDE), mode="bilinear")
        x = (x - x.mean((2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)
        spread, mean = (
            self.uniform(0.1, 0.3, count, 1, 1, 1),
            self.uniform(0.15, 0.85, count, 3, 1, 1),
        )
        return (x * spread + mean).clamp(0, 1)

    def lit(self, pictures: Tensor) -> Tensor:
        """Less colourful, under uneven light."""
        count = len(pictures)
        grey = pictures.mean(1, keepdim=True)
        x = grey + (pictures - grey) * self.uniform(0.1, 1, count, 1, 1, 1)
        slope = torch.full((count,), 1.5, device=self.device)
        light = functional.interpolate(
            self.fields(count, 12, slope)[:, None], size=(SIDE, SIDE), mode="bicubic"
        )
        return (x * (1 + light * self.uniform(0, 0.35, count, 1, 1, 1))).clamp(0, 1)

    def _coloured(self, fields: Tensor) -> Tensor:
        """Three fields a picture as colours that go together."""
        count = len(fields)
        unit = torch.eye(3, device=self.device) * self.uniform(0.1, 0.9, count, 1, 1)
        mix = unit + self.uniform(0.2, 1, count, 1, 1)
        mix = mix + torch.randn(count, 3, 3, device=self.device) * 0.2
        x = torch.einsum("nij,njhw->nihw", mix, fields) * self.uniform(0.04, 0.25, count, 1, 1, 1)
        tint = self.uniform(0.05, 0.95, count, 3, 1, 1) * 0.7
        return (x + tint + self.uniform(0.05, 0.95, count, 1, 1, 1) * 0.3).clamp(0, 1)

    def _gratings(self, count: int) -> Tensor:
        angle, shift = (self.uniform(0, 6.3, count, 1, 1) for _ in range(2))
        frequency = 2 ** self.uniform(2, 6, count, 1, 1)
        bend = self.uniform(0, 4, count, 1, 1) * self.fields(
            count, SIDE, self.uniform(1.2, 2.2, count)
        )
        wave = torch.sin((self._x * angle.cos() + self._y * angle.sin()) * frequency + shift + bend)
        hard = self.uniform(0, 1, count, 1, 1) < 0.4
        share = (torch.where(hard, wave.sign() * 0.9, wave) * 0.5 + 0.5)[:, None]
        first, second = (self.uniform(0, 1, count, 3, 1, 1) for _ in range(2))
        return first * share + second * (1 - share)

    def _gradients(self, count: int) -> Tensor:
        slope = [self.uniform(-1, 1, count, 1, 1) for _ in range(2)]
        ramp = (self._x * slope[0] + self._y * slope[1])[:, None]
        colour = self.uniform(0, 1, count, 3, 1, 1)
        return (colour + ramp * self.uniform(0, 0.3, count, 1, 1, 1)).clamp(0, 1)

    def _some(self, textures: Tensor, count: int) -> Tensor:
        return textures[torch.randint(len(textures), (count,), device=self.device)]

    def _ground(self, canvas: Tensor, horizon: Tensor) -> Tensor:
        """The canvas as the ground below a sky."""
        count = len(canvas)
        below = ((self._y - horizon) * 40).sigmoid()[:, None].to(self.half)
        fade = ((self._y - horizon) * self.uniform(-0.4, 0.4, count, 1, 1))[:, None]
        sky = (self.uniform(0.2, 1, count, 3, 1, 1) + fade).clamp(0, 1).to(self.half)
        return canvas * below + (1 - below) * sky

    def _shape(
        self, canvas: Tensor, textures: Tensor, radius: Tensor, kind: int, horizon: Tensor | None
    ) -> Tensor:
        """One more shape on every picture."""
        count = len(canvas)
        flatness, angle = self.uniform(0.25, 1, count, 1, 1), self.uniform(0, 3.15, count, 1, 1)
        across, down = (self.uniform(-1.15, 1.15, count, 1, 1) for _ in range(2))
        if horizon is not None:
            # What stands further up is further away, upright, and smaller.
            angle = angle * (self.uniform(0, 1, count, 1, 1) < 0.4)
            down = horizon + (down + 1.15) * 0.45 * (1 - horizon)
            radius = radius * (0.25 + 0.75 * (down - horizon).clamp(0, 1))
            down = down - radius * flatness * 0.5
        dx, dy = self._x - across, self._y - down
        cosine, sine = angle.cos(), angle.sin()
        u = ((dx * cosine + dy * sine) / radius).to(self.half)
        v = ((dy * cosine - dx * sine) / (radius * flatness)).to(self.half)
        edge = (1 - self._distance(u, v, kind)) * (radius * (SIDE / 2)).to(self.half)
        inside = edge.sigmoid()[:, None]
        fill = self._some(textures, count) * self.uniform(0.5, 1.5, count, 3, 1, 1).to(self.half)
        slopes = [self.uniform(-0.25, 0.25, count, 1, 1).to(self.half) for _ in range(2)]
        shade = (u * slopes[0] + v * slopes[1]).clamp(-1, 1)[:, None]
        fill = (fill + shade * (self.uniform(0, 1, count, 1, 1, 1) < 0.6)).clamp(0, 1)
        return canvas + (fill - canvas) * inside

    def _distance(self, u: Tensor, v: Tensor, kind: int) -> Tensor:
        """1 on the outline of a box, an ellipse, a diamond or a flower."""
        if kind == 0:
            return torch.maximum(u.abs(), v.abs())
        if kind == 2:
            return u.abs() + v.abs()
        round_one = (u * u + v * v).sqrt()
        if kind == 1:
            return round_one
        count = len(u)
        petals = torch.randint(2, 8, (count, 1, 1), device=self.device).to(self.half)
        phase = self.uniform(0, 6, count, 1, 1).to(self.half)
        depth = self.uniform(0, 0.45, count, 1, 1).to(self.half)
        return round_one * (1 + depth * torch.cos(petals * torch.atan2(v, u) + phase))
