"""Fuses 512 visual and 15 action numbers into one vector of 527.

`storyhash`: [a v, b m] with v and m of unit norm and a^2 + b^2 = 1, so that the inner product of two
fused vectors is a^2 cos(v, v') + b^2 cos(m, m'). `visual`: the action part is zero; `action`: the visual
one. `paper`: visual and min-max scaled action concatenated raw and then normalised, as published; it
raises the similarity of non-matches as much as that of copies. These three are for the ablation alone.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from common.types import ACTION_DIMENSION, VECTOR_DIMENSION, VISUAL_DIMENSION, Float32Array
from embedder.action import ACTION_VERSION, min_max
from embedder.normalise import unit

FusionMode: TypeAlias = Literal["storyhash", "paper", "visual", "action"]

# The share of action in the published vector: 15 of 527 dimensions.
ACTION_SHARE = 0.028
FUSION_FINGERPRINT = f"fusion-1 b2={ACTION_SHARE} {ACTION_VERSION}"


def fuse(
    visual: Float32Array, action: Float32Array, mode: FusionMode = "storyhash"
) -> Float32Array:
    """float32 (..., 527), unit norm, from visual (..., 512) unit and action (..., 15) as it comes.

    Where there is no action (all zero, nothing moves) the visual part carries the whole norm, so two
    still scenes are compared by what they show alone.
    """
    fused = np.zeros((*visual.shape[:-1], VECTOR_DIMENSION), dtype=np.float32)
    fused[..., :VISUAL_DIMENSION] = visual
    if mode == "storyhash":
        moving = action.any(axis=-1, keepdims=True)
        fused[..., :VISUAL_DIMENSION] *= np.where(moving, np.sqrt(1 - ACTION_SHARE), 1)
        fused[..., VISUAL_DIMENSION:] = np.sqrt(ACTION_SHARE) * unit(action)
    elif mode == "action":
        fused[..., :VISUAL_DIMENSION] = 0
        fused[..., VISUAL_DIMENSION:] = unit(action)
    elif mode == "paper":
        fused[..., VISUAL_DIMENSION:] = min_max(action)
    return unit(fused)


def split(vector: Float32Array) -> tuple[Float32Array, Float32Array]:
    """The visual (..., 512) and the action (..., 15) part of a fused vector, as they stand in it."""
    if vector.shape[-1] != VECTOR_DIMENSION:
        raise ValueError(
            f"vector: expected (..., {VISUAL_DIMENSION} + {ACTION_DIMENSION}), got {vector.shape}"
        )
    return vector[..., :VISUAL_DIMENSION], vector[..., VISUAL_DIMENSION:]
