"""Lines of text, symbols and bars, as people write them on videos."""

from __future__ import annotations

import random
import string
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from scripts.train_offline.network import INPUT_SIDE

_LETTERS = string.ascii_letters + string.digits + " !?&%:.,"
_SYMBOLS = "☺☻♥★☀☂✈✔✖♫☎⚡"
_SIZES = (7, 9, 11, 14, 18, 26, 40)


def draw_overlays(count: int, font: Path) -> Tensor:
    """uint8 (count, 4, 128, 128), RGBA."""
    drawn = [_overlay(font) for _ in range(count)]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2)


def default_font() -> Path:
    """DejaVu Sans Bold, which matplotlib brings."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"


def _overlay(font: Path) -> np.ndarray:
    picture = Image.new("RGBA", (INPUT_SIDE, INPUT_SIDE))
    canvas = ImageDraw.Draw(picture)
    if random.random() < 0.25:
        top = random.choice((0, random.randint(60, 110)))
        colour = (*random.choices(range(256), k=3), random.choice((160, 255)))
        canvas.rectangle((0, top, INPUT_SIDE, top + random.randint(8, 30)), fill=colour)
    for _ in range(random.randint(1, 5)):
        symbol = random.random() >= 0.8
        text = (
            random.choice(_SYMBOLS)
            if symbol
            else "".join(random.choices(_LETTERS, k=random.randint(2, 24)))
        )
        canvas.text(
            (random.randint(-10, 90), random.randint(-4, 118)),
            text,
            font=ImageFont.truetype(str(font), random.choice(_SIZES)),
            fill=(*random.choices((0, 255, 255, 40, 200), k=3), random.choice((110, 200, 255))),
            stroke_width=random.choice((0, 0, 1)),
            stroke_fill=(0, 0, 0, 255),
        )
    return np.array(picture)
