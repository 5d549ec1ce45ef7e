"""The transform of a match in words and as JSON."""

from typing import Any

import pytest

from searcher.transform.description import in_words, transform_json
from searcher.transform.estimate import PictureTransform
from searcher.transform.regions import WHOLE


def edit(**fields: Any) -> PictureTransform:
    plain: dict[str, Any] = {
        "mirrored": False, "rotation_degrees": 0, "query_region": WHOLE, "reference_region": WHOLE,
        "kept_region": WHOLE, "stretch": 1.0, "inverted": False, "grey": False, "confidence": 0.9999,
    }  # fmt: skip
    return PictureTransform(**plain | fields)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (edit(), "unchanged"),
        (edit(mirrored=True), "mirrored"),
        (edit(mirrored=True, rotation_degrees=180), "mirrored top to bottom"),
        (edit(mirrored=True, rotation_degrees=-90), "mirrored, rotated by 90° anti-clockwise"),
        (edit(rotation_degrees=180), "rotated by 180°"),
        (edit(rotation_degrees=5), "rotated by 5° clockwise"),
        (edit(kept_region=(0, 0, 0.8, 1)), "cropped to the left 80% of its width"),
        (edit(kept_region=(0, 0.3, 1, 1)), "cropped to the bottom 70% of its height"),
        (edit(kept_region=(0.1, 0.1, 0.9, 0.9)), "cropped to the centre 80% x 80%"),
        (edit(query_region=(0, 0.15, 1, 0.85)), "bars above and below"),
        (edit(query_region=(0.2, 0, 0.8, 1)), "bars left and right"),
        (edit(query_region=(0, 0, 1, 0.875)), "something else in the bottom 12%"),
        (edit(query_region=(0.2, 0.01, 1, 1)), "something else in the left 20%"),
        (
            edit(query_region=(0, 0, 1, 0.88), reference_region=(0, 0, 1, 0.88)),
            "something else in the bottom 12%",
        ),
        (edit(query_region=(0, 0, 0.5, 1)), "shown in the left 50% x 100% of the picture"),
        (
            edit(query_region=(0.6, 0.1, 0.9, 0.4)),
            "shown in the top right 30% x 30% of the picture",
        ),
        (edit(stretch=4 / 3), "stretched 1.33 x wider"),
        (edit(stretch=0.75), "stretched 1.33 x taller"),
        (edit(inverted=True, grey=True), "colours inverted, without colour"),
        (edit(query_region=(0.02, 0, 1, 1), stretch=1.02), "unchanged"),
    ],
)
def test_an_edit_of_the_picture_has_words(picture: PictureTransform, words: str) -> None:
    assert in_words(1.0, picture) == words


@pytest.mark.parametrize(
    ("speed", "words"),
    [
        (1.0, ""),
        (1.1, "at about 1.1 x speed"),
        (0.8, "at about 0.8 x speed"),
        (-1.0, "backwards"),
        (-2.0, "backwards, at about 2 x speed"),
        (None, "cut or reordered"),
    ],
)
def test_speed_is_told_without_pictures_too(speed: float | None, words: str) -> None:
    assert in_words(speed, None) == words


def test_json_says_of_the_picture_what_is_certain_and_why_nothing_is() -> None:
    whole = transform_json(1.1, edit(mirrored=True))
    assert (whole["mirrored"], whole["query_region"]) == (True, [0.0, 0.0, 1.0, 1.0])
    assert whole["words"] == "mirrored, at about 1.1 x speed"
    assert "not_compared" not in whole
    assert transform_json(1.0, None, "no file") == {
        "speed": 1.0,
        "not_compared": "no file",
        "words": "",
    }
