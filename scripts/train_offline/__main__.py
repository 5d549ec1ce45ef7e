#!/usr/bin/env python3
"""Train a small copy-detection network on drawn pictures and, where given, free photographs.

    python -m scripts.train_offline OUT [--photographs DIR] [--held-out DIR] [--seconds 480]

Ten minutes on one GPU, drawing included; on a CPU only small runs make sense (--pool 200 --pairs 16).
OUT gets network.pt (half precision), log.json and a checkpoint: run again, it goes on from there. No
picture is downloaded. Free photographs come with these Debian packages; each package's copyright file
names the licence of each picture, and none of them is part of this project: mate-backgrounds,
gnome-backgrounds, sway-backgrounds, lomiri-wallpapers-16.04, lomiri-wallpapers-20.04, ukui-wallpapers,
plasma-workspace-wallpapers.

350 s on one H200 with 108 of those photographs (2,740 steps), 80 held-out frames x 20 edits, one view:
Recall@1 .791, recall at a false-positive rate of 1e-2 .473.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch

from scripts.train_offline.checking import HeldOutSet
from scripts.train_offline.drawing import Brush
from scripts.train_offline.overlays import default_font, draw_overlays
from scripts.train_offline.pool import draw_pool, load_photographs
from scripts.train_offline.training import Training, TrainingConfig


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts.train_offline", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for weights, log and checkpoint")
    parser.add_argument("--photographs", type=Path, help="folder of .jpg files to crop from")
    parser.add_argument("--held-out", type=Path, help="folder to check with; see checking.py")
    parser.add_argument("--font", type=Path, help="for text drawn over pictures (DejaVu Sans Bold)")
    parser.add_argument("--seconds", type=float, default=480.0, help="of training (default: 480)")
    parser.add_argument("--pool", type=int, default=200_000, help="pictures (default: 200000)")
    parser.add_argument("--overlays", type=int, default=1500, help="texts drawn (default: 1500)")
    parser.add_argument("--pairs", type=int, default=2048, help="a step (default: 2048)")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (default: 1)")
    options = parser.parse_args()
    began = time.monotonic()

    def say(words: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - began:6.1f} s] {words}\n")
        sys.stderr.flush()

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    training = Training(TrainingConfig(options.seconds, options.pairs), options.out, device)
    if training.steps:
        say(f"going on from step {training.steps}")
    photographs = load_photographs(options.photographs, device)
    say(f"{len(photographs)} photographs; drawing {options.pool} pictures on {device}")
    overlays = draw_overlays(options.overlays, options.font or default_font()).to(device)
    with torch.no_grad():
        pool = draw_pool(options.pool, photographs, Brush(device), say)
    held_out = HeldOutSet.load(options.held_out) if options.held_out else None
    training.run(pool, overlays, held_out, say)


if __name__ == "__main__":
    main()
