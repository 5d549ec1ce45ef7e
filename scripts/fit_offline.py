#!/usr/bin/env python3
"""Rebuild the offline descriptor's weights from a seed.

    python -m scripts.fit_offline [--images 2400] [--seed 1] [--out FILE] [--check]

Draws procedural pictures, edits each five times, and fits the projection in closed form: some minutes on
two cores. `--check` compares the result with the shipped file instead of writing it.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from common.runtime_tuning import usable_cores
from common.types import Float32Array
from embedder.normalise import unit
from embedder.visual.offline.backend import WEIGHTS_PATH
from embedder.visual.offline.bank import balance
from embedder.visual.offline.features import PictureFeatures, picture_features
from embedder.visual.offline.projection import Projection
from scripts.offline_fit.augment import augment
from scripts.offline_fit.discriminant import fit_discriminant, fit_patches
from scripts.offline_fit.scenes import picture

_VARIANTS = 6
_PATCH_SAMPLE = 40
_BANK_OUT, _VLAD_OUT, _JOINT_OUT = 256, 256, 384


def measure(seed: int, index: int) -> list[PictureFeatures]:
    """A picture and its edits, measured."""
    cv2.setNumThreads(1)
    base = seed * 1_000_000 + index
    clean, other = picture(base), picture(base + 500_000)
    rng = np.random.default_rng((seed, index, 7))
    edited = [augment(clean, other, rng) for _ in range(_VARIANTS - 1)]
    return [picture_features(picture) for picture in [clean, *edited]]


def fit(measured: list[list[PictureFeatures]], seed: int) -> Projection:
    """The projection that tells these pictures apart best, whatever was done to them."""
    rng = np.random.default_rng(seed)
    bank = np.stack([[features.bank for features in variants] for variants in measured])
    bank_mean = bank.mean(axis=(0, 1))
    balanced = balance(bank, bank_mean)
    sample = np.concatenate(
        [
            features.patches[rng.permutation(len(features.patches))[:_PATCH_SAMPLE]]
            for variants in measured
            for features in variants
        ]
    )
    patch_mean, patch_basis, centres = fit_patches(sample, 40, 24, rng)
    bank_offset, bank_map = fit_discriminant(balanced, _BANK_OUT, 0.1)
    empty = np.zeros(0, dtype=np.float32)
    partly = Projection(
        bank_mean,
        patch_mean,
        patch_basis,
        centres,
        bank_offset,
        bank_map,
        empty,
        empty,
        empty,
        empty,
    )
    local = np.stack(
        [[partly.gather(features.patches) for features in variants] for variants in measured]
    )
    vlad_offset, vlad_map = fit_discriminant(local, _VLAD_OUT, 0.1)
    both = np.concatenate(
        [unit((balanced - bank_offset) @ bank_map), unit((local - vlad_offset) @ vlad_map)], axis=-1
    )
    joint_offset, joint_map = fit_discriminant(both, _JOINT_OUT, 0.3)
    return Projection(
        bank_mean,
        patch_mean,
        patch_basis,
        centres,
        bank_offset,
        _scaled(bank_map),
        vlad_offset,
        _scaled(vlad_map),
        joint_offset,
        _scaled(joint_map),
    )


def _scaled(mapping: Float32Array) -> Float32Array:
    """Scale a map into the range half precision keeps best; what follows normalises anyway."""
    return mapping / float(np.abs(mapping).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with ProcessPoolExecutor(usable_cores()) as executor:
        results = executor.map(partial(measure, options.seed), range(options.images), chunksize=8)
        measured = list(track(results, "drawing and measuring", total=options.images))
    projection = fit(measured, options.seed)
    if not options.check:
        projection.save(options.out)
        print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")
        return
    probe = [variants[0] for variants in measured[:64]]
    cosine = (projection.describe(probe) * Projection.load(WEIGHTS_PATH).describe(probe)).sum(
        axis=1
    )
    print(f"lowest cosine between rebuilt and shipped descriptors: {np.min(cosine):.5f}")
    sys.exit(int(np.min(cosine) < 0.999))


if __name__ == "__main__":
    main()
