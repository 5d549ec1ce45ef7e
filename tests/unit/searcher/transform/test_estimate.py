"""The transform is told from pictures: mirror, turn, crop, place, stretch and colours; or nothing is."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.types import UInt8Array
from searcher.transform.description import in_words
from searcher.transform.estimate import Moment, PictureTransform, compare, turn_of
from searcher.transform.regions import WHOLE, Region
from searcher.transform.registration import fit_probability
from tests.unit.searcher.transform.drawing import HEIGHT, WIDTH, drawn, turned


def estimated(query: UInt8Array, *references: UInt8Array) -> PictureTransform | None:
    return compare([Moment(np.ascontiguousarray(query), references or (drawn(1),))]).transform


def transform_of(query: UInt8Array, *references: UInt8Array) -> PictureTransform:
    found = estimated(query, *references)
    assert found is not None
    return found


def near(region: Region, *expected: float, within: float = 0.03) -> bool:
    return bool(np.allclose(region, expected, atol=within))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    mirrored=st.booleans(),
    quarters=st.integers(0, 3),
    inverted=st.booleans(),
    left=st.floats(0.0, 0.35),
    top=st.floats(0.0, 0.35),
    kept=st.floats(0.6, 1.0),
)
def test_mirror_turn_colours_and_crop_come_back(
    *, mirrored: bool, quarters: int, inverted: bool, left: float, top: float, kept: float
) -> None:
    width, height = round(WIDTH * kept), round(HEIGHT * kept)
    x, y = min(round(left * WIDTH), WIDTH - width), min(round(top * HEIGHT), HEIGHT - height)
    picture = drawn(1)[y : y + height, x : x + width]
    picture = turned(picture[:, ::-1] if mirrored else picture, quarters)
    found = transform_of(255 - picture if inverted else picture)
    assert (found.mirrored, found.inverted) == (mirrored, inverted)
    assert found.rotation_degrees % 360 == 90 * quarters
    assert near(found.query_region, *WHOLE)
    expected = (x / WIDTH, y / HEIGHT, (x + width) / WIDTH, (y + height) / HEIGHT)
    assert near(found.reference_region, *expected)
    assert near(found.kept_region, *expected)
    assert found.stretch == pytest.approx(1.0, abs=0.03)
    assert found.confidence > 0.99


def test_a_picture_in_another_is_placed() -> None:
    page = drawn(7, 480, 352).copy()
    page[30 : 30 + HEIGHT // 2, 300 : 300 + WIDTH // 2] = cv2.resize(
        drawn(1), (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA
    )
    found = transform_of(page)
    assert near(found.query_region, 300 / 480, 30 / 352, 420 / 480, 118 / 352)
    assert near(found.reference_region, *WHOLE)


def test_half_a_screen_that_shows_another_film_is_not_the_reference() -> None:
    page = np.concatenate([drawn(1)[:, : WIDTH // 2], drawn(9)[:, WIDTH // 2 :]], axis=1)
    found = transform_of(page)
    assert near(found.query_region, 0, 0, 0.5, 1, within=0.05)
    assert near(found.reference_region, 0, 0, 0.5, 1, within=0.05)


@pytest.mark.parametrize("cut", [0.0, 0.1])
def test_what_a_banner_covers_is_not_cropped(cut: float) -> None:
    x, y = round(cut * WIDTH), round(cut * HEIGHT)
    picture = drawn(1)[y : HEIGHT - y, x : WIDTH - x].copy()
    tall = len(picture) // 8
    picture[-tall:] = drawn(9)[:tall, : picture.shape[1]]
    found = transform_of(picture)
    assert near(found.query_region, 0, 0, 1, 7 / 8, within=0.04)
    assert near(found.kept_region, cut, cut, 1 - cut, 1 - cut)
    words = in_words(1.0, found).split(", ")
    cropped = ["cropped to the centre 80% x 80%"] if cut else []
    assert words == [*cropped, "something else in the bottom 12%"]


@pytest.mark.parametrize("cut", [0.0, 0.2])
def test_a_picture_beside_another_is_cropped_to_what_is_seen_of_it(cut: float) -> None:
    x = round(cut * WIDTH)
    page = np.concatenate([drawn(1)[:, x : WIDTH - x], drawn(9)[:, x : WIDTH - x]], axis=1)
    found = transform_of(page)
    assert near(found.query_region, 0, 0, 0.5, 1, within=0.04)
    assert near(found.kept_region, cut, 0, 1 - cut, 1, within=0.05)
    assert near(found.kept_region, *found.reference_region)


def test_bars_around_the_picture_are_not_the_reference() -> None:
    found = transform_of(cv2.copyMakeBorder(drawn(1), 44, 44, 0, 0, cv2.BORDER_CONSTANT))
    assert near(found.query_region, 0, 1 / 6, 1, 5 / 6)
    assert near(found.reference_region, *WHOLE)


def test_a_stretched_picture_is_wider() -> None:
    assert transform_of(cv2.resize(drawn(1), (WIDTH * 4 // 3, HEIGHT))).stretch == pytest.approx(
        4 / 3, 0.03
    )


def test_a_slightly_turned_picture_has_its_degrees() -> None:
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 12, 1.0)
    # OpenCV turns anti-clockwise.
    assert transform_of(cv2.warpAffine(drawn(1), turn, (WIDTH, HEIGHT))).rotation_degrees == -12


def test_a_picture_filmed_from_the_side_agrees_everywhere() -> None:
    corners = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32)
    seen = corners + np.array([[0, 0], [-40, 24], [-40, -24], [0, 0]], np.float32)
    side = cv2.getPerspectiveTransform(corners, seen)
    found = compare([Moment(cv2.warpPerspective(drawn(1), side, (WIDTH, HEIGHT)), (drawn(1),))])
    assert found.transform is not None
    assert found.agreement > 0.99


def test_the_moment_with_the_most_probable_map_decides() -> None:
    def moved(columns: int) -> Moment:
        picture = np.roll(drawn(1), columns, axis=1)
        # A strip in its place fits the first moment's map as well, so most points fit the map of all.
        picture[:40] = drawn(1)[:40]
        return Moment(picture, (drawn(1),))

    found = compare([Moment(drawn(1), (drawn(1),)), *map(moved, (40, -40, 80, -80))])
    assert found.transform is not None
    assert found.fitting > 0.9 * found.points


def test_a_picture_without_its_colours_is_grey() -> None:
    pale = cv2.cvtColor(cv2.cvtColor(drawn(1), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert transform_of(pale).grey
    assert not transform_of(drawn(1)).grey
    assert not transform_of(pale, pale).grey


def test_the_frame_that_fits_best_is_compared() -> None:
    later = np.roll(drawn(1), 30, axis=1)
    found = transform_of(drawn(1), later, drawn(1))
    assert near(found.query_region, *WHOLE)
    assert near(found.reference_region, *WHOLE)


@pytest.mark.parametrize("other", [drawn(2), np.zeros_like(drawn(1))])
def test_nothing_is_told_of_pictures_that_are_not_alike(other: UInt8Array) -> None:
    assert estimated(other) is None


def test_moments_without_a_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="moments"):
        compare([])
    with pytest.raises(ValueError, match="references"):
        Moment(drawn(1), ())


def test_more_points_that_fit_make_a_map_more_probable() -> None:
    assert fit_probability(30, 35) > 0.999 > 0.5 > fit_probability(6, 30)
    assert fit_probability(0, 1000) == pytest.approx(0.0, abs=1e-9)


def test_a_mirror_and_a_quarter_turn_are_read_from_a_map() -> None:
    upside_down = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 100.0]])
    assert turn_of(upside_down, mirrored=True) == (180, 1.0)
    clockwise = np.array([[0.0, -1.0, 100.0], [1.0, 0.0, 0.0]])
    assert turn_of(clockwise, mirrored=False) == (90, 1.0)
