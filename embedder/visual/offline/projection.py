"""The fitted part: patches to VLAD, bank and VLAD to discriminant coordinates, both to one vector."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from common.types import VISUAL_DIMENSION, Float32Array
from embedder.normalise import unit
from embedder.visual.offline.bank import balance
from embedder.visual.offline.features import PictureFeatures
from embedder.visual.offline.patches import vlad


@dataclass(frozen=True, slots=True)
class Projection:
    """The fitted arrays, float32.

    bank_mean (2043,). patch_mean (128,), patch_basis (128, 40): whitened principal axes of patches.
    centres (24, 40). Then three linear maps with the mean of what they take: bank_* (2043 -> 256),
    vlad_* (960 -> 256), joint_* (512 -> 384).
    """

    bank_mean: Float32Array
    patch_mean: Float32Array
    patch_basis: Float32Array
    centres: Float32Array
    bank_offset: Float32Array
    bank_map: Float32Array
    vlad_offset: Float32Array
    vlad_map: Float32Array
    joint_offset: Float32Array
    joint_map: Float32Array

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Read a weight file (half precision, .npz)."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                **{field.name: arrays[field.name].astype(np.float32) for field in fields(cls)}
            )

    def save(self, path: Path) -> None:
        """Write a weight file."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        np.savez_compressed(
            path, **{name: array.astype(np.float16) for name, array in arrays.items()}
        )

    def gather(self, patches: Float32Array) -> Float32Array:
        """VLAD float32 (960,) of raw patches (P, 128)."""
        return vlad((patches - self.patch_mean) @ self.patch_basis, self.centres)

    def describe(self, measured: list[PictureFeatures]) -> Float32Array:
        """float32 (B, 512), unit norm; the last coordinates are zero."""
        bank = balance(np.stack([features.bank for features in measured]), self.bank_mean)
        local = np.stack([self.gather(features.patches) for features in measured])
        both = np.concatenate(
            [
                unit((bank - self.bank_offset) @ self.bank_map),
                unit((local - self.vlad_offset) @ self.vlad_map),
            ],
            axis=1,
        )
        joint = unit((both - self.joint_offset) @ self.joint_map)
        described = np.zeros((len(measured), VISUAL_DIMENSION), dtype=np.float32)
        described[:, : joint.shape[1]] = joint
        return described
