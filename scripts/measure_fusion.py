#!/usr/bin/env python3
"""What each fusion does to copies and to strangers: both, side by side.

    python -m scripts.measure_fusion CLIP.npy ACTION.npy MANIFEST.csv [--json FILE]

Features of whole videos (`storyhash features ... --per video`). MANIFEST.csv has `file`, `posgroup` and
`hardneg`: two videos of one posgroup are copies; of one hardneg neither copies nor strangers, and left
out; all other pairs are strangers. d-prime = (mean of copies - mean of strangers) / root of the mean of
both variances. Recall is the share of copies above the similarity that 1 % of strangers pass.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.types import BoolArray, Float32Array
from storyhash.features.files import Features, read_features
from storyhash.features.fusing import fuse_features

_MODES = ("visual", "storyhash", "paper")
_FALSE_POSITIVES = 0.01


def pairs(features: Features, manifest: Path) -> tuple[BoolArray, BoolArray]:
    """bool (V, V): pairs of copies and pairs of strangers, each pair once."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows: dict[str, Mapping[str, str]] = {
            Path(row["file"]).name: row for row in csv.DictReader(file)
        }
    names = [Path(row.video_id).name for row in features.rows]

    def alike(column: str) -> BoolArray:
        label = np.array([rows.get(name, {}).get(column, "") for name in names])
        return (label[:, None] == label[None]) & (label != "")[:, None]

    once = np.triu(np.ones((len(names), len(names)), dtype=bool), 1)
    shown = np.array([row.informative for row in features.rows])
    once &= shown[:, None] & shown[None]
    copies = alike("posgroup")
    return once & copies, once & ~copies & ~alike("hardneg")


def separation(vectors: Float32Array, copies: BoolArray, strangers: BoolArray) -> dict[str, float]:
    """Figures of one fusion."""
    similarity = vectors @ vectors.T
    alike, apart = similarity[copies], similarity[strangers]
    spread = np.sqrt((alike.var() + apart.var()) / 2)
    limit = np.quantile(apart, 1 - _FALSE_POSITIVES)
    return {
        "mean of copies": round(float(alike.mean()), 3),
        "mean of strangers": round(float(apart.mean()), 3),
        "d-prime": round(float((alike.mean() - apart.mean()) / spread), 2),
        "recall at 1 % of strangers": round(float((alike > limit).mean()), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("action", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    visual = read_features(asked.clip, "visual")
    action = read_features(asked.action, "action")
    copies, strangers = pairs(visual, asked.manifest)
    figures: dict[str, Any] = {
        mode: separation(fuse_features(visual, action, mode).values, copies, strangers)
        for mode in _MODES
    }
    found = {
        "backends": f"{visual.backend} and {action.backend}",
        "copies": int(copies.sum()),
        "strangers": int(strangers.sum()),
        "fusions": figures,
    }
    text = json.dumps(found, indent=1)
    print(text)
    if asked.json is not None:
        asked.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
