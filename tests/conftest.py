"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from common.types import UInt8Array

REQUIRED = frozenset(filter(None, os.environ.get("STORYHASH_TEST_REQUIRE", "").split(",")))


def skip_or_fail(need: str, how: str) -> None:
    """Skip because `need` is missing, saying how to have it; fail where it is required."""
    message = f"needs {need}: {how}"
    if need in REQUIRED:
        pytest.fail(f"{message} (STORYHASH_TEST_REQUIRE names it)")
    pytest.skip(message)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """A folder of real videos, from STORYHASH_TEST_CORPUS."""
    folder = os.environ.get("STORYHASH_TEST_CORPUS")
    if not folder:
        skip_or_fail("corpus", "set STORYHASH_TEST_CORPUS to a folder of real videos")
    return Path(str(folder))


def checkerboard(width: int = 64, height: int = 48, cell: int = 8) -> UInt8Array:
    """A black and white board, uint8 (height, width, 3): a picture that shows something."""
    y, x = np.mgrid[:height, :width]
    board = ((x // cell + y // cell) % 2 * 255).astype(np.uint8)
    return np.repeat(board[..., None], 3, axis=2)


def quadrants(width: int = 64, height: int = 48) -> UInt8Array:
    """Red top left, green top right, blue bottom left, white bottom right: every turn shows."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 200, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 220)
    picture[height // 2 :, width // 2 :] = (235, 235, 235)
    return picture
