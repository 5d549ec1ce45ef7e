"""Regions of a picture: fixed ones, and those that must be found."""

from __future__ import annotations

from itertools import combinations, product

import cv2
import numpy as np
import pytest

from common.types import UInt8Array
from embedder.visual.inner_rectangles import inner_rectangles
from embedder.visual.picture_grid import MOST_CELLS, cells
from embedder.visual.regions import CELL_NAMES, CUT_NAMES, cut, found_regions
from embedder.visual.steady_edges import SteadyEdges
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
    rows, columns = inner_rectangles(SteadyEdges.of(frames), 3)[0]
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
    rows, columns = inner_rectangles(SteadyEdges.of(frames), 3)[0]
    assert [rows.start, rows.stop] == pytest.approx([220, 420], abs=12)
    assert (columns.start, columns.stop) == (0, 360)


def test_several_pictures_within_a_picture_are_found(rng: np.random.Generator) -> None:
    frames = moving(rng, 360, 640)
    places = [(20, 140, 30, 240), (200, 340, 400, 620)]
    for top, bottom, left, right in places:
        frames[:, top:bottom, left:right] = textured(rng, bottom - top, right - left)
    found = inner_rectangles(SteadyEdges.of(frames), 2)
    edges = sorted([rows.start, rows.stop, columns.start, columns.stop] for rows, columns in found)
    assert [pytest.approx(place, abs=10) for place in places] == edges


@pytest.mark.parametrize("seed", range(8))
def test_inner_pictures_hardly_overlap_and_the_first_ones_do_not_depend_on_how_many_are_wanted(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    frames = moving(rng, 360, 640)
    for _ in range(4):
        top, left = int(rng.integers(0, 260)), int(rng.integers(0, 440))
        height, width = int(rng.integers(80, 360 - top)), int(rng.integers(130, 640 - left))
        frames[:, top : top + height, left : left + width] = textured(rng, height, width)
    edges = SteadyEdges.of(frames)
    found = inner_rectangles(edges, 3)
    assert inner_rectangles(edges, 1) == found[:1]
    covered = np.zeros((len(found), 360, 640), dtype=bool)
    for shown, (rows, columns) in zip(covered, found, strict=True):
        shown[rows, columns] = True
    for one, other in combinations(covered, 2):
        assert (one & other).sum() < 0.15 * min(one.sum(), other.sum())


def test_a_plain_picture_has_no_inner_one(rng: np.random.Generator) -> None:
    assert not inner_rectangles(SteadyEdges.of(moving(rng, 360, 640)), 3)
    assert not inner_rectangles(SteadyEdges.of(np.full((3, 48, 64, 3), 90, dtype=np.uint8)), 3)


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


def textured(rng: np.random.Generator, height: int, width: int, frames: int = 8) -> UInt8Array:
    """Soft patches of any colour, which drift down and to the right."""
    patches = rng.uniform(0, 255, (9, 16, 3)).astype(np.float32)
    large = cv2.resize(patches, (640, 360), interpolation=cv2.INTER_CUBIC)
    top, left = rng.integers(0, 360 - height + 1), rng.integers(0, 640 - width + 1)
    shown = [
        np.roll(large, (9 * step, 13 * step), axis=(0, 1))[top : top + height, left : left + width]
        for step in range(frames)
    ]
    return np.clip(np.stack(shown), 0, 255).astype(np.uint8)


def wall(rng: np.random.Generator, rows: int, columns: int, border: int = 0) -> UInt8Array:
    """A grid of pictures that move, with black borders between them."""
    height, width = 360 // rows, 640 // columns
    frames = np.zeros((8, rows * height, columns * width, 3), dtype=np.uint8)
    for row, column in product(range(rows), range(columns)):
        frames[:, row * height : (row + 1) * height, column * width : (column + 1) * width] = (
            textured(rng, height, width)
        )
    for place in range(1, rows):
        frames[:, place * height - border // 2 : place * height + border // 2] = 0
    for place in range(1, columns):
        frames[:, :, place * width - border // 2 : place * width + border // 2] = 0
    return frames


@pytest.mark.parametrize("border", [0, 6, 16])
@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (1, 3), (3, 1), (2, 3), (4, 4), (2, 5)])
def test_each_cell_of_a_grid_is_found_row_by_row(
    rng: np.random.Generator, rows: int, columns: int, border: int
) -> None:
    frames = wall(rng, rows, columns, border)
    height, width = frames.shape[1] // rows, frames.shape[2] // columns
    found = cells(SteadyEdges.of(frames))
    assert len(found) == rows * columns
    for (down, across), (row, column) in zip(
        found, product(range(rows), range(columns)), strict=True
    ):
        expected = (row * height, (row + 1) * height, column * width, (column + 1) * width)
        edges = (down.start, down.stop, across.start, across.stop)
        # An edge of a picture beside the seam may be taken for an edge of the seam.
        assert edges == pytest.approx(expected, abs=25)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_halves_and_quarters_are_no_grid(rng: np.random.Generator, rows: int, columns: int) -> None:
    assert not found_regions(wall(rng, rows, columns), CELL_NAMES)


def test_a_grid_of_many_cells_has_none_that_can_be_recognised(rng: np.random.Generator) -> None:
    assert MOST_CELLS < 5 * 5
    assert not found_regions(wall(rng, 5, 5), CELL_NAMES)


def test_lines_where_no_cell_ends_make_no_grid(rng: np.random.Generator) -> None:
    frames = textured(rng, 360, 640)
    # A caption band, and a post from top to bottom.
    frames[:, 300:] = 0
    frames[:, :, 150:170] = 255
    assert not found_regions(frames, CELL_NAMES)


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (700, 2), (9, 5)])
def test_small_pictures_have_no_cells(size: tuple[int, int]) -> None:
    frames = np.zeros((3, *size, 3), dtype=np.uint8)
    assert not found_regions(frames, CELL_NAMES)


def test_only_the_regions_asked_for_are_looked_for(rng: np.random.Generator) -> None:
    frames = wall(rng, 3, 3)
    assert not found_regions(frames, ["identity", "left"])
    assert list(found_regions(frames, ["cell_1"])) == ["cell_1"]
    assert "cell_1" not in found_regions(frames, ["inner"])
