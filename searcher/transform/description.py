"""The transform of a match as JSON, and in words."""

from __future__ import annotations

import math
from typing import Any

from searcher.transform.edit_words import UNCHANGED
from searcher.transform.estimate import PictureTransform
from searcher.transform.regions import WHOLE_SIDE, Region, is_whole

# Bars are as wide on both sides, up to this share of the picture.
_EVEN = 0.03
# A band at one side, for example with a caption, is at most this share of the picture.
_BAND = 0.25
_STRETCHED = 1.06
_CENTRED = 0.05


def transform_json(
    speed: float | None, picture: PictureTransform | None, not_compared: str = ""
) -> dict[str, Any]:
    """The field `transform` of a match.

    speed: seconds of the reference per second of the query, negative if it runs backwards, None without
    an order in time. picture: None if nothing is certain; then `not_compared` says why.
    """
    fields: dict[str, Any] = {"speed": speed}
    if picture is None:
        fields["not_compared"] = not_compared
    else:
        fields |= {
            "mirrored": picture.mirrored,
            "rotation_degrees": picture.rotation_degrees,
            "query_region": [round(side, 3) for side in picture.query_region],
            "reference_region": [round(side, 3) for side in picture.reference_region],
            "stretch": round(picture.stretch, 3),
            "inverted": picture.inverted,
            "grey": picture.grey,
            "confidence": round(picture.confidence, 4),
        }
    fields["words"] = in_words(speed, picture)
    return fields


def in_words(speed: float | None, picture: PictureTransform | None) -> str:
    """What was done, for people; `unchanged` if nothing was, empty if nothing is known."""
    words = [] if picture is None else _picture_words(picture)
    words += _speed_words(speed)
    if words:
        return ", ".join(words)
    return "" if picture is None else UNCHANGED


def _picture_words(picture: PictureTransform) -> list[str]:
    words = _turn_words(picture)
    words += _crop_words(picture.kept_region)
    words += _place_words(picture.query_region)
    if abs(math.log(picture.stretch)) > math.log(_STRETCHED):
        wider = picture.stretch > 1
        by = picture.stretch if wider else 1 / picture.stretch
        words.append(f"stretched {by:.2f} x {'wider' if wider else 'taller'}")
    words += ["colours inverted"] * picture.inverted
    words += ["without colour"] * picture.grey
    return words


def _turn_words(picture: PictureTransform) -> list[str]:
    degrees = picture.rotation_degrees
    if picture.mirrored and degrees == 180:
        return ["mirrored top to bottom"]
    words = ["mirrored"] * picture.mirrored
    if degrees == 180:
        words.append("rotated by 180°")
    elif degrees:
        side = "clockwise" if degrees > 0 else "anti-clockwise"
        words.append(f"rotated by {abs(degrees)}° {side}")
    return words


def _crop_words(region: Region) -> list[str]:
    wide, tall = _sizes(region)
    place = _place(region)
    if is_whole(region):
        return []
    if tall >= WHOLE_SIDE:
        return [f"cropped to the {place} {wide:.0%} of its width"]
    if wide >= WHOLE_SIDE:
        return [f"cropped to the {place} {tall:.0%} of its height"]
    return [f"cropped to the {place} {wide:.0%} x {tall:.0%}"]


def _place_words(region: Region) -> list[str]:
    wide, tall = _sizes(region)
    if is_whole(region):
        return []
    left, top, right, bottom = region
    even = abs(left - (1 - right)) < _EVEN and abs(top - (1 - bottom)) < _EVEN
    if even and wide >= WHOLE_SIDE:
        return ["bars above and below"]
    if even and tall >= WHOLE_SIDE:
        return ["bars left and right"]
    margins = {"left": left, "top": top, "right": 1 - right, "bottom": 1 - bottom}
    cut = [side for side, margin in margins.items() if margin >= _EVEN]
    if len(cut) == 1 and margins[cut[0]] <= _BAND:
        return [f"something else in the {cut[0]} {margins[cut[0]]:.0%}"]
    return [f"shown in the {_place(region)} {wide:.0%} x {tall:.0%} of the picture"]


def _speed_words(speed: float | None) -> list[str]:
    if speed is None:
        return ["cut or reordered"]
    words = ["backwards"] * (speed < 0)
    # Another tempo is found to about a tenth.
    if abs(speed) != 1:
        words.append(f"at about {abs(speed):.3g} x speed")
    return words


def _sizes(region: Region) -> tuple[float, float]:
    return region[2] - region[0], region[3] - region[1]


def _place(region: Region) -> str:
    """`top left`, `left`, `centre`, ..."""
    across = (region[0] + region[2] - 1) / 2
    down = (region[1] + region[3] - 1) / 2
    names = [
        *(["top"] if down < -_CENTRED else ["bottom"] if down > _CENTRED else []),
        *(["left"] if across < -_CENTRED else ["right"] if across > _CENTRED else []),
    ]
    return " ".join(names) or "centre"
