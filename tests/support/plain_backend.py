"""A weak visual backend in the place of SSCD, so that a second profile has something to find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import pytest

from common.types import Float32Array, UInt8Array
from embedder.normalise import unit
from storyhash.profiles import VISUALS


class Plain:
    """A weak backend in the place of SSCD: the edges of a small grey picture. It finds re-encoded
    pictures, and no mirrored ones."""

    name = "sscd"
    fingerprint = "plain"
    frames_per_second = 2.0
    batch_pictures = 8
    pooling: Literal["mean", "median"] = "mean"
    views = ("identity",)
    closer_views = ("negative",)

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        described = np.zeros((len(pictures), 512), dtype=np.float32)
        for number, picture in enumerate(pictures):
            grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
            small = cv2.resize(grey, (32, 16), interpolation=cv2.INTER_AREA)
            described[number] = (small - cv2.GaussianBlur(small, (0, 0), 2.0)).ravel()
        return unit(described)


@contextmanager
def plain_sscd() -> Iterator[None]:
    """The profile `sscd-motion` has this backend; one decoder, and no pictures are compared."""
    part = replace(VISUALS["sscd"], build=lambda _: Plain(), check=lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VISUALS, "sscd", part)
        patch.setenv("STORYHASH_INGEST__WORKERS", "1")
        patch.setenv("STORYHASH_MATCHING__TRANSFORM_SECONDS", "0")
        yield
