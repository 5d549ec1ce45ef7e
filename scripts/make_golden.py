#!/usr/bin/env python3
"""Write the golden vectors that `storyhash doctor` compares with: python -m scripts.make_golden"""

from __future__ import annotations

import numpy as np

from common.settings import SscdSettings
from embedder.golden_image import golden_picture
from embedder.self_check import GOLDEN_PATH
from embedder.visual.base import VisualBackend
from embedder.visual.offline import OfflineBackend
from embedder.visual.sscd import SscdBackend


def main() -> None:
    backends: list[VisualBackend] = [
        OfflineBackend(),
        SscdBackend(SscdSettings(model="full")),
        SscdBackend(SscdSettings(model="distilled")),
    ]
    picture = [golden_picture()]
    np.savez(
        GOLDEN_PATH, **{backend.fingerprint: backend.encode(picture)[0] for backend in backends}
    )
    print(f"{GOLDEN_PATH}: {len(backends)} vectors")


if __name__ == "__main__":
    main()
