"""Regions of a picture: fixed ones, and those that must be found."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.types import UInt8Array
from embedder.visual.regions import CUT_NAMES, cut, inner_rectangle
from embedder.visual.views import BRIGHTENED, REGION_NAMES, WHOLE_NAMES, apply_view
from tests.conftest import quadrants


def moving(rng: np.random.Generator, height: int, width: int, frames: int = 8) -> UInt8Array:
    """Soft blobs that drift: pictures without a straight edge."""
    grid = rng.normal(0, 1, (6, 8, 3)).astype(np.float32)
    shown = [
        cv2.resize(np.roll(grid, step, axis=1), (width, height), interpolation=cv2.INTER_CUBIC)
        for step in range(frames)
    ]
    return np.clip(np.stack(shown) * 50 + 120, 0, 255).astype(np.uint8)


def test_cuts_are_the_parts_their_names_say() -> None:
    frames = quadrants()[None]
    height, width = frames.shape[1:3]
    corners = {
        name: cut(frames, name) for name in ("top_left", "top_right", "bottom_left", "bottom_right")
    }
    top = np.concatenate([corners["top_left"], corners["top_right"]], axis=2)
    bottom = np.concatenate([corners["bottom_left"], corners["bottom_right"]], axis=2)
    assert np.array_equal(np.concatenate([top, bottom], axis=1), frames)
    assert np.array_equal(cut(frames, "top"), top)
    assert cut(frames, "left").shape[1:3] == (height, width // 2)
    assert cut(frames, "middle").shape[1:3] == (height // 2, width)


@pytest.mark.parametrize("name", sorted({*CUT_NAMES, *WHOLE_NAMES} - {BRIGHTENED}))
def test_one_pixel_can_be_seen_through_every_view(name: str) -> None:
    seen = apply_view(np.zeros((2, 1, 1, 3), dtype=np.uint8), name)
    assert seen is not None
    assert seen.shape == (2, 1, 1, 3)


def test_a_picture_within_a_picture_is_found_to_a_line_or_two(rng: np.random.Generator) -> None:
    frames = moving(rng, 360, 640)
    frames[:, 200:340, 400:620] = moving(rng, 140, 220)
    found = inner_rectangle(frames)
    assert found is not None
    rows, columns = found
    edges = [rows.start, rows.stop, columns.start, columns.stop]
    assert edges == pytest.approx([200, 340, 400, 620], abs=10)
    # Nothing of what is around it is left.
    assert rows.start >= 200
    assert columns.start >= 400
    assert rows.stop <= 340
    assert columns.stop <= 620


def test_a_band_from_edge_to_edge_is_found(rng: np.random.Generator) -> None:
    frames = moving(rng, 640, 360)
    frames[:, 220:420] = moving(rng, 200, 360)
    found = inner_rectangle(frames)
    assert found is not None
    rows, columns = found
    assert [rows.start, rows.stop] == pytest.approx([220, 420], abs=12)
    assert (columns.start, columns.stop) == (0, 360)


def test_a_plain_picture_has_no_inner_one(rng: np.random.Generator) -> None:
    assert inner_rectangle(moving(rng, 360, 640)) is None
    assert inner_rectangle(np.full((3, 48, 64, 3), 90, dtype=np.uint8)) is None


def test_bars_are_trimmed_and_a_picture_without_bars_has_no_such_view(
    rng: np.random.Generator,
) -> None:
    frames = moving(rng, 200, 360)
    assert apply_view(frames, "trimmed") is None
    barred = np.pad(frames, ((0, 0), (60, 60), (0, 0), (0, 0)))
    trimmed = apply_view(barred, "trimmed")
    assert trimmed is not None
    assert np.array_equal(trimmed, frames)


def test_every_region_has_another_name_than_every_view_of_the_whole() -> None:
    assert not set(REGION_NAMES) & set(WHOLE_NAMES)
