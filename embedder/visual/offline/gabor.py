"""Gist: how strongly edges of each width and direction stand in each part of a picture.

Log-Gabor filters (Field, 1987) on a locally normalised picture (Oliva and Torralba, 2001), pooled under
4 x 4 windows; `envelope` is how the fine responses are spread, as their lowest cosine coefficients.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from common.types import Float32Array, UInt8Array
from embedder.visual.offline.windows import SIDE, pool_cells, signed_root

_ORIENTATIONS = 8
_FINE, _COARSE = (0.28, 0.16), (0.18, 0.10)
_RADIAL_SIGMA, _ANGULAR_SHARE = 0.55, 0.8
_ENVELOPE_SIDE, _ENVELOPE_TERMS = 24, 5


def gist_blocks(grey: UInt8Array) -> tuple[Float32Array, Float32Array]:
    """gist float32 (512,) and envelope float32 (400,) of a grey picture uint8 (96, 96)."""
    even = _locally_normalised(grey)
    small = cv2.resize(even, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    fine, coarse = _responses(even, _FINE), _responses(small, _COARSE)
    gist = np.concatenate([pool_cells(fine, 4).ravel(), pool_cells(coarse, 4).ravel()])
    return signed_root(gist), signed_root(_envelope(fine))


def _locally_normalised(grey: UInt8Array) -> Float32Array:
    light = np.log1p(grey.astype(np.float32))
    light -= cv2.GaussianBlur(light, (0, 0), 10)
    spread = np.sqrt(cv2.GaussianBlur(light * light, (0, 0), 10))
    even: Float32Array = light / (spread + 0.08)
    return even


def _responses(picture: Float32Array, frequencies: tuple[float, ...]) -> Float32Array:
    """Magnitudes float32 (filters, side, side)."""
    side = picture.shape[0]
    filters = _bank(side, frequencies)
    responses = np.empty(filters.shape, dtype=np.float32)
    even, spectrum, product, filtered = (
        _aligned(side, side, *planes) for planes in ((), (2,), (2,), (2,))
    )
    even[...] = picture
    cv2.dft(even, spectrum, cv2.DFT_COMPLEX_OUTPUT)
    for response, transfer in zip(responses, filters, strict=True):
        np.multiply(spectrum, transfer[..., None], out=product)
        cv2.dft(product, filtered, cv2.DFT_INVERSE | cv2.DFT_SCALE)
        np.multiply(filtered, filtered, out=filtered)
        np.add(filtered[..., 0], filtered[..., 1], out=response)
    np.sqrt(responses, out=responses)
    return responses


def _aligned(*shape: int) -> Float32Array:
    """float32 that starts at a multiple of 64 bytes: OpenCV's transform rounds otherwise where it does
    not, and the same picture would have another last bit in another run."""
    size = 4 * int(np.prod(shape))
    raw = np.empty(size + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(np.float32).reshape(shape)


def _envelope(fine: Float32Array) -> Float32Array:
    stacked = np.ascontiguousarray(fine.transpose(1, 2, 0))
    small = cv2.resize(stacked, (_ENVELOPE_SIDE,) * 2, interpolation=cv2.INTER_AREA)
    basis = _cosines(_ENVELOPE_SIDE, _ENVELOPE_TERMS)
    terms = np.einsum("ky,lx,yxf->fkl", basis, basis, small, optimize=True)
    return (terms / _ENVELOPE_SIDE).astype(np.float32).ravel()


@cache
def _cosines(side: int, terms: int) -> Float32Array:
    """The first rows of the orthonormal DCT-II, float32 (terms, side)."""
    k, n = np.arange(terms)[:, None], np.arange(side)[None]
    basis = np.cos(np.pi * (n + 0.5) * k / side) * np.sqrt(2 / side)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


@cache
def _bank(side: int, frequencies: tuple[float, ...]) -> Float32Array:
    """One-sided log-Gabor filters in the frequency domain, float32 (filters, side, side)."""
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None]
    radius = np.hypot(fx, fy)
    radius[0, 0] = 1.0
    angle = np.arctan2(fy, fx)
    width = np.pi / _ORIENTATIONS * _ANGULAR_SHARE
    filters = []
    for frequency in frequencies:
        radial = np.exp(-np.square(np.log(radius / frequency)) / (2 * _RADIAL_SIGMA**2))
        radial[0, 0] = 0.0
        for turn in range(_ORIENTATIONS):
            angle_difference = np.angle(np.exp(1j * (angle - turn * np.pi / _ORIENTATIONS)))
            filters.append(radial * np.exp(-np.square(angle_difference / width) / 2))
    return np.stack(filters).astype(np.float32)
