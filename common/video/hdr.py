"""Converts one HDR frame (PQ or HLG, BT.2020) to 8-bit SDR (BT.709).

The transfer functions are from ITU-R BT.2100-2 (tables 4 and 5). Primaries are converted with the inverse
of the matrix in ITU-R BT.2087-0 (BT.2020 to BT.709). Highlights above SDR white are compressed with the
extended curve of Reinhard et al. (2002), x (1 + x / w^2) / (1 + x), where w is the peak in units of SDR
white. The goal is a picture that looks like the SDR release, not colorimetric mastering.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from common.types import Array, Float32Array, UInt8Array

# BT.2408: graphics white of an HDR programme, cd/m2.
_SDR_WHITE = 203.0
_PEAK = 1000.0
_BT2020_TO_BT709 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ],
    dtype=np.float32,
)


def to_sdr(picture: Array, curve: str) -> UInt8Array:
    """Tone-map a picture: uint16 (H, W, 3), full-range RGB of BT.2020. curve: "pq" or "hlg".

    Returns uint8 (H, W, 3), full-range RGB of BT.709.
    """
    light = _linear_table(curve)[picture]
    light = np.maximum(light @ _BT2020_TO_BT709.T, 0.0)
    white = _PEAK / _SDR_WHITE
    level = light.max(axis=-1, keepdims=True)
    mapped = light * ((1.0 + level / white**2) / (1.0 + level)) * 1.6
    coded = np.clip(mapped, 0.0, 1.0) ** np.float32(1 / 2.4)
    return (coded * 255.0 + 0.5).astype(np.uint8)


@cache
def _linear_table(curve: str) -> Float32Array:
    """float32 (65536,): light of every code value, in units of SDR white."""
    code = np.linspace(0.0, 1.0, 65536)
    if curve == "pq":
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = code ** (1 / m2)
        light = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        # The system gamma of 1.2 (for 1000 cd/m2) is applied per channel, not to the luminance.
        light = _PEAK * scene**1.2
    return (light / _SDR_WHITE).astype(np.float32)
