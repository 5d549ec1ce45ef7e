"""Photometric edits: brightness, colour, sharpness, noise, compression."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import Float32Array, UInt8Array
from evaluation.transforms.base import Film, Transform, TransformContext, TransformResult
from evaluation.transforms.frame_ops import (
    FrameEdit,
    Prepare,
    apply_levels,
    per_frame,
    plain,
    table,
    whole,
)

# From an RGB column to RGB: the matrix of sepia(1) of CSS filters.
_SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])


def brighten(factor: float) -> Prepare:
    """Every value times `factor`."""
    levels = table(lambda value: value * factor)
    return plain(lambda frame: apply_levels(frame, levels))


def contrast(factor: float) -> Prepare:
    """Differences from middle grey times `factor`."""
    levels = table(lambda value: (value - 127.5) * factor + 127.5)
    return plain(lambda frame: apply_levels(frame, levels))


def gamma(exponent: float) -> Prepare:
    """Values, as shares of white, to the power of `exponent`; above 1 darkens the mid-tones."""
    levels = table(lambda value: 255.0 * (value / 255.0) ** exponent)
    return plain(lambda frame: apply_levels(frame, levels))


def jpeg(quality: int) -> Prepare:
    """Every frame through JPEG at that quality, 1 to 100."""

    def edit(frame: UInt8Array) -> UInt8Array:
        # OpenCV assumes BGR, and JPEG halves the resolution of the colour planes.
        swapped = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        packed = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.cvtColor(cv2.imdecode(packed, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    return plain(edit)


def hue(degrees: float) -> Prepare:
    """Rotate the hue of every colour; a unit of OpenCV's hue is two degrees."""
    levels = np.arange(256)
    turned = ((levels + round(degrees / 2)) % 180).astype(np.uint8)
    same = levels.astype(np.uint8)
    return plain(lambda frame: _in_hsv(frame, np.stack([turned, same, same], axis=-1)))


def saturation(factor: float) -> Prepare:
    """Saturation times `factor`."""
    same = np.arange(256, dtype=np.uint8)
    stronger = table(lambda value: value * factor)
    return plain(lambda frame: _in_hsv(frame, np.stack([same, stronger, same], axis=-1)))


def noise(sigma: float) -> Prepare:
    """Gaussian noise with that standard deviation, different in every frame."""

    def prepare(film: Film, context: TransformContext) -> FrameEdit:
        height, width = film.frames.shape[1:3]
        # One noise field, shifted in every frame: new random numbers would cost 25 ms per frame.
        field = context.rng.normal(0.0, sigma, (height + 64, width + 64, 3))
        grain = np.round(field).astype(np.int16)
        offsets = context.rng.integers(0, 65, (len(film.frames), 2))

        def edit(frame: UInt8Array, number: int) -> UInt8Array:
            top, left = offsets[number]
            window = grain[top : top + height, left : left + width]
            return cv2.add(frame, window, dtype=cv2.CV_8U)

        return edit

    return prepare


def vignette(darkest: float) -> Prepare:
    """Darken the corners to that share; the centre is unchanged."""

    def prepare(film: Film, _context: TransformContext) -> FrameEdit:
        height, width = film.frames.shape[1:3]
        shades = np.repeat(shade(width, height, darkest)[..., None], 3, axis=-1)
        return lambda frame, _number: cv2.multiply(frame, shades, dtype=cv2.CV_8U)

    return prepare


def shade(width: int, height: int, darkest: float) -> Float32Array:
    """float32 (height, width): 1 in the centre, `darkest` in the corners."""
    y, x = np.mgrid[:height, :width]
    far = np.hypot((x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5) / np.hypot(0.5, 0.5)
    return (1.0 - (1.0 - darkest) * far**2).astype(np.float32)


def _in_hsv(frame: UInt8Array, levels: UInt8Array) -> UInt8Array:
    """levels: uint8 (256, 3), a table for each of hue, saturation and value."""
    coded = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
    return cv2.cvtColor(cv2.LUT(coded, levels[None]), cv2.COLOR_HSV2RGB)


def _grayscale(frame: UInt8Array) -> UInt8Array:
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _blur(frame: UInt8Array) -> UInt8Array:
    return cv2.GaussianBlur(frame, (0, 0), max(0.6, min(frame.shape[:2]) / 160))


def _sharpen(frame: UInt8Array) -> UInt8Array:
    soft = cv2.GaussianBlur(frame, (0, 0), 2.0)
    return cv2.addWeighted(frame, 2.2, soft, -1.2, 0.0)


def _negative(frame: UInt8Array) -> UInt8Array:
    return cv2.bitwise_not(frame)


def _sepia(frame: UInt8Array) -> UInt8Array:
    return cv2.transform(frame, _SEPIA)


def _as_it_is(film: Film, _context: TransformContext) -> TransformResult:
    return TransformResult(film, whole(film), crf=45)


TRANSFORMS = (
    per_frame("grayscale", "photometric", plain(_grayscale)),
    per_frame("blur", "photometric", plain(_blur), sigma_of_short_side=1 / 160),
    per_frame("noise", "photometric", noise(16.0), sigma_levels=16),
    per_frame("contrast_up", "photometric", contrast(1.6), factor=1.6),
    per_frame("contrast_down", "photometric", contrast(0.5), factor=0.5),
    per_frame("gamma_dark", "photometric", gamma(1.8), exponent=1.8),
    per_frame("gamma_light", "photometric", gamma(0.55), exponent=0.55),
    per_frame("darken", "photometric", brighten(0.5), factor=0.5),
    per_frame("hue", "photometric", hue(60.0), degrees=60),
    per_frame("saturation", "photometric", saturation(2.0), factor=2.0),
    per_frame("negative", "photometric", plain(_negative)),
    per_frame("filter_sepia", "photometric", plain(_sepia)),
    per_frame("filter_vignette", "photometric", vignette(0.2), darkest=0.2),
    per_frame("sharpen", "photometric", plain(_sharpen), amount=1.2, sigma=2.0),
    Transform("crf_45", "photometric", _as_it_is, {"crf": 45}),
)
