"""A picture's keypoints are found again in it mirrored and inverted, without looking at it twice."""

import cv2
import pytest

from searcher.transform.keypoints import VARIANTS, Keypoints, Variant, shared_points
from tests.unit.searcher.transform.drawing import drawn, grey


def changed(variant: Variant) -> Keypoints:
    picture = grey(drawn(1))
    picture = cv2.flip(picture, 1) if variant.mirrored else picture
    return Keypoints.of(cv2.bitwise_not(picture) if variant.inverted else picture)


@pytest.mark.parametrize("variant", VARIANTS)
def test_most_keypoints_are_found_again_as_the_variant_they_are(variant: Variant) -> None:
    before, after = Keypoints.of(grey(drawn(1))), changed(variant)
    shares = {
        one: len(shared_points(after, before, one)[0]) / len(before.points) for one in VARIANTS
    }
    assert shares.pop(variant) > 0.8
    assert max(shares.values()) < 0.2


def test_shared_points_are_the_same_places() -> None:
    picture = grey(drawn(2))
    before, after = Keypoints.of(picture), Keypoints.of(cv2.flip(picture, 1))
    there, here = shared_points(after, before, Variant(mirrored=True, inverted=False))
    across = (picture.shape[1] - 1 - here[:, 0]) - there[:, 0]
    assert (abs(across) < 1.5).mean() > 0.9


def test_a_flat_picture_shares_nothing() -> None:
    flat = Keypoints.of(grey(drawn(3)) * 0)
    there, here = shared_points(flat, Keypoints.of(grey(drawn(3))), VARIANTS[0])
    assert there.shape == here.shape == (0, 2)
