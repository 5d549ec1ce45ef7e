"""Pictures of every shape a file may have: a call into native code that reads outside of one would end
the process, so they are tried in another one."""

from __future__ import annotations

import os

import numpy as np
import pytest

from embedder.tracking.flow import FlowFinder, small_grey
from embedder.visual.clip import central
from tests.support import preloaded


def test_no_shape_of_picture_ends_the_process() -> None:
    tried = preloaded.run(["tests.support.odd_shapes"], env=os.environ, cwd=preloaded.ROOT)
    last = tried.stdout.splitlines()[-1:]
    assert tried.returncode == 0, f"{tried.returncode} at {last}: {tried.stderr[-500:]}"
    assert last == ["done"]


@pytest.mark.parametrize("size", [(288, 1600), (2, 2000), (2000, 2), (1, 1), (16, 16), (31, 80)])
def test_flow_gets_pictures_it_cannot_read_outside_of(size: tuple[int, int]) -> None:
    assert min(small_grey(np.zeros((*size, 3), np.uint8)).shape) >= 32


def test_ordinary_pictures_keep_the_size_their_flow_is_found_at() -> None:
    sizes = {(480, 854): (90, 160), (480, 640): (120, 160), (854, 480): (160, 90)}
    for (height, width), small in sizes.items():
        assert small_grey(np.zeros((height, width, 3), np.uint8)).shape == small


def test_flow_refuses_a_picture_that_is_too_small() -> None:
    small = np.zeros((31, 160), np.uint8)
    with pytest.raises(ValueError, match="at least 32"):
        FlowFinder().residual(small, small)


def test_a_strip_is_cut_to_what_clip_sees_of_it() -> None:
    assert central(np.zeros((2, 2000, 3), np.uint8)).shape == (2, 8, 3)
    assert central(np.zeros((2000, 2, 3), np.uint8)).shape == (8, 2, 3)
    assert central(np.zeros((480, 854, 3), np.uint8)).shape == (480, 854, 3)
