"""What every test may ask for."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from common.settings import Sam2Settings
from common.types import UInt8Array

QDRANT_IMAGE = "qdrant/qdrant:v1.18.3"
REQUIRED = frozenset(filter(None, os.environ.get("STORYHASH_REQUIRE", "").split(",")))


def skip_or_fail(need: str, how: str) -> NoReturn:
    """Skip because `need` is missing, saying how to have it; fail where it is required."""
    message = f"needs {need}: {how}"
    if need in REQUIRED:
        pytest.fail(f"{message} (STORYHASH_REQUIRE names it)")
    pytest.skip(message)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """A folder of real videos, from STORYHASH_TEST_CORPUS."""
    folder = os.environ.get("STORYHASH_TEST_CORPUS")
    if not folder:
        skip_or_fail("corpus", "set STORYHASH_TEST_CORPUS to a folder of real videos")
    return Path(str(folder))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `clip` and `sam2` of random weights, so small that they run in milliseconds."""
    if (
        importlib.util.find_spec("torch") is None
        or importlib.util.find_spec("transformers") is None
    ):
        skip_or_fail("models", "pip install 'storyhash[models]'")
    from scripts.random_weights import write

    folder = tmp_path_factory.mktemp("models")
    write(folder, tiny=True)
    return folder


@pytest.fixture(scope="session")
def random_sam2(models: Path) -> Sam2Settings:
    """The tiny SAM 2; what random weights propose is taken however little they trust it."""
    return Sam2Settings(model=str(models / "sam2"), min_predicted_iou=0, min_stability=0)


@pytest.fixture(scope="session")
def qdrant_url() -> Iterator[str]:
    """A Qdrant server: the one STORYHASH_TEST_QDRANT names, else a container."""
    named = os.environ.get("STORYHASH_TEST_QDRANT")
    if named:
        yield named
        return
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True).returncode
    ):
        skip_or_fail("qdrant", "start Docker, or set STORYHASH_TEST_QDRANT to a server's URL")
    from testcontainers.community.qdrant import QdrantContainer

    with QdrantContainer(QDRANT_IMAGE) as container:
        yield f"http://{container.rest_host_address}"


def run_script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of scripts/ as CONTRIBUTING.md says."""
    return subprocess.run(
        [sys.executable, "-m", f"scripts.{name}", *arguments],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


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


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240229)
