"""Frame codes: 64 bytes per frame of a segment, enough to find the frame that a query frame shows.

A code stores how one frame differs from its segment's vector. Let v be the unit visual vector of the
segment and x that of a frame: x = a v + r, and the code holds a and 63 numbers of r. These are the
coordinates of r along rows of a Hadamard matrix with random column signs, which preserves inner products
on average (Ailon and Chazelle, "The Fast Johnson-Lindenstrauss Transform", 2009), so

    q . x  =  a (q . v) + s . r,    s . r  ~  |s| |r| cos(P s, P r)

where P has the 63 orthonormal rows, s is the part of q orthogonal to v, and r is orthogonal to v. The
lengths are known: |s|^2 = 1 - (q . v)^2 and |r|^2 = 1 - a^2. With them the error is a third of that of
512 / 63 (P s) . (P r) where frames are alike (Li, Hastie and Church, "Improving Random Projections Using
Marginal Information", 2006). A segment has one code per half second: half a megabyte per hour of video.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

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
# The difference from a segment's vector has a length below 1, spread over 512 coordinates. Each of the 63
# is below 0.12, except for one in a thousand of the most different frames.
_SCALE = 1024.0
_ALONG_SCALE = 127.0
# The inner product of this many coordinates estimates that of all.
_SPREAD = np.float32(VISUAL_DIMENSION / _PROJECTED)
# Of the length of r, which the code has only roughly if r is short, to that of its projection.
_RATIOS = (0.5 * np.sqrt(_SPREAD), 2.0 * np.sqrt(_SPREAD))


def encode_frames(rows: Float32Array, informative: BoolArray, vector: Float32Array) -> Int8Array:
    """int8 (T, 64), zero if there is no frame.

    rows: float32 (T, 512), unit rows where `informative`, bool (T,), is true; vector: float32 (512,),
    the unit vector of their segment.
    """
    along = rows @ vector
    residuals = rows - along[:, None] * vector
    codes = np.empty((len(rows), FRAME_CODE_SIZE), dtype=np.float32)
    # Zero means no frame.
    codes[:, 0] = np.maximum(np.round(along * _ALONG_SCALE), 1)
    codes[:, 1:] = np.round(_SCALE * (residuals @ _projection().T))
    return np.where(informative[:, None], np.clip(codes, -127, 127), 0).astype(np.int8)


def valid_frames(codes: Int8Array) -> BoolArray:
    """bool (T,): which of the codes, int8 (T, 64), have a frame."""
    return codes[:, 0] > 0


@dataclass(frozen=True)
class CodedFrames:
    """Frames as stored in the index.

    vectors: float32 (S, 512), unit, of the segments; codes: int8 (T, 64); segment: int64 (T,), index of
    the segment of each frame.
    """

    vectors: Float32Array
    codes: Int8Array
    segment: Int64Array

    def of(self, chosen: BoolArray) -> CodedFrames:
        """The frames selected by a bool (T,) mask."""
        return CodedFrames(self.vectors, self.codes[chosen], self.segment[chosen])

    def like(self, queries: Float32Array) -> Float32Array:
        """float32 (Q, T): approximate inner product with frames of a query, float32 (Q, 512), unit rows;
        zero if there is no frame."""
        return self._like(queries @ self.vectors.T, queries @ _projection().T)

    def like_coded(self, queries: CodedFrames) -> Float32Array:
        """float32 (Q, T): the same with frames of which only the codes are known."""
        own = queries._along - _SPREAD * queries._leaked
        shared = (queries.vectors @ self.vectors.T)[queries.segment] * own[:, None]
        shared += _SPREAD * (queries._apart @ self._projected.T)
        projected = queries._projected[queries.segment] * queries._along[:, None] + queries._apart
        return self._like(shared, projected)

    def _like(self, shared: Float32Array, projected: Float32Array) -> Float32Array:
        """float32 (Q, T). shared: float32 (Q, S), inner products of unit vectors q with the segments'
        vectors. projected: float32 (Q, 63), P q."""
        apart_squared = np.maximum(1.0 - shared**2, 0.0)
        projected_squared = (
            (projected**2).sum(axis=1)[:, None]
            - 2 * shared * (projected @ self._projected.T)
            + shared**2 * (self._projected**2).sum(axis=1)
        )
        of_query = np.sqrt(apart_squared / np.maximum(projected_squared, 1e-6))
        here = shared[:, self.segment]
        cross = projected @ self._apart.T - here * self._leaked
        like: Float32Array = here * self._along + cross * of_query[:, self.segment] * self._of_frame
        return like

    @cached_property
    def _along(self) -> Float32Array:
        return self.codes[:, 0].astype(np.float32) / np.float32(_ALONG_SCALE)

    @cached_property
    def _apart(self) -> Float32Array:
        """float32 (T, 63): the coordinates of r, the difference from the segment's vector."""
        return self.codes[:, 1:].astype(np.float32) / np.float32(_SCALE)

    @cached_property
    def _projected(self) -> Float32Array:
        """float32 (S, 63): P v of each segment."""
        return self.vectors @ _projection().T

    @cached_property
    def _leaked(self) -> Float32Array:
        """float32 (T,): (P v) . (P r). v and r are orthogonal; their projections are not."""
        leaked: Float32Array = (self._projected[self.segment] * self._apart).sum(axis=1)
        return leaked

    @cached_property
    def _of_frame(self) -> Float32Array:
        """float32 (T,): length of r over that of P r."""
        length = np.sqrt(np.maximum(1.0 - self._along**2, 0.0))
        projected = np.linalg.norm(self._apart, axis=1)
        ratio: Float32Array = np.clip(length / np.maximum(projected, 1e-6), *_RATIOS)
        return ratio


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
