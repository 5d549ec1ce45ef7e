"""Frames of a segment in 64 bytes each: enough to tell which of them a frame of a query shows.

A segment's vector says what it shows; a code says how one frame departs from that. With v the unit
visual vector of the segment and x that of a frame, x = a v + r, and a code holds a and 63 numbers of r.
They are r's coordinates along rows of a Hadamard matrix whose columns have random signs, which keeps
inner products in the mean (Ailon and Chazelle, "The Fast Johnson-Lindenstrauss Transform", 2009), so

    q . x  =  a (q . v) + s . r,    s . r  ~  512 / 63 (P s) . (P r)

with P the 63 orthonormal rows and s what of q departs from v, as r is at right angles to v. A segment has
one code for each half second from its start: half a megabyte a video hour.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from common.types import (
    FRAME_CODE_SIZE,
    VISUAL_DIMENSION,
    BoolArray,
    Float32Array,
    Int8Array,
    Int64Array,
)

FRAME_SECONDS = 0.5
_PROJECTED = FRAME_CODE_SIZE - 1
# What departs from a segment's vector has a length below 1, spread over 512 coordinates: each of 63 is
# below 0.12 but for one in a thousand of the most different frames.
_SCALE = 1024.0
_ALONG_SCALE = 127.0


def encode_frames(rows: Float32Array, known: BoolArray, vector: Float32Array) -> Int8Array:
    """int8 (T, 64), zero where there is no frame.

    rows: float32 (T, 512), unit rows where `known`, bool (T,); vector: float32 (512,), unit, that of
    their segment.
    """
    along = rows @ vector
    apart = rows - along[:, None] * vector
    codes = np.empty((len(rows), FRAME_CODE_SIZE), dtype=np.float32)
    # Zero is for no frame.
    codes[:, 0] = np.maximum(np.round(along * _ALONG_SCALE), 1)
    codes[:, 1:] = np.round(_SCALE * (apart @ _projection().T))
    return np.where(known[:, None], np.clip(codes, -127, 127), 0).astype(np.int8)


def known_frames(codes: Int8Array) -> BoolArray:
    """bool (T,): codes, int8 (T, 64), that are of a frame."""
    return codes[:, 0] > 0


def frame_similarity(
    queries: Float32Array, vectors: Float32Array, codes: Int8Array, segment: Int64Array
) -> Float32Array:
    """float32 (Q, T): about the inner product of frames of a query with frames of segments.

    queries: float32 (Q, 512), unit rows; vectors: float32 (S, 512), unit, of segments; codes: int8 (T,
    64); segment: int64 (T,), the number of each frame's. Zero where there is no frame.
    """
    along = codes[:, 0] / np.float32(_ALONG_SCALE)
    apart = codes[:, 1:] * np.float32(VISUAL_DIMENSION / _PROJECTED / _SCALE)
    projection = _projection().T
    # What departs from a segment's vector is at right angles to it but for what coding lost.
    lost = ((vectors @ projection)[segment] * apart).sum(axis=1)
    found: Float32Array = (queries @ vectors.T)[:, segment] * (along - lost)
    return found + (queries @ projection) @ apart.T


@lru_cache(1)
def _projection() -> Float32Array:
    """float32 (63, 512), orthonormal rows, the same on every machine."""
    bits = [
        byte
        for number in range(VISUAL_DIMENSION // 64)
        for byte in hashlib.blake2b(f"signs {number}".encode(), digest_size=64).digest()
    ]
    signs = 1.0 - 2.0 * (np.array(bits) & 1)
    order = sorted(
        range(VISUAL_DIMENSION), key=lambda row: hashlib.blake2b(f"row {row}".encode()).digest()
    )
    # A Walsh-Hadamard matrix by its definition: the parity of the bits that row and column share.
    parity = np.array(order[:_PROJECTED])[:, None] & np.arange(VISUAL_DIMENSION)
    for shift in (8, 4, 2, 1):
        parity ^= parity >> shift
    rows = (1.0 - 2.0 * (parity & 1)) * signs / np.sqrt(VISUAL_DIMENSION)
    projection: Float32Array = rows.astype(np.float32)
    return projection
