"""Small synthetic videos, drawn from a seed, so nothing is downloaded."""

from storyhash.samples.edits import (
    Edit,
    crop_and_brighten,
    letterbox_and_caption,
    mirror,
    unchanged,
    upside_down,
)
from storyhash.samples.synthetic_video import FRAMES_PER_SECOND, film

__all__ = [
    "FRAMES_PER_SECOND",
    "Edit",
    "crop_and_brighten",
    "film",
    "letterbox_and_caption",
    "mirror",
    "unchanged",
    "upside_down",
]
