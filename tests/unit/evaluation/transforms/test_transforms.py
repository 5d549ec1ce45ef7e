"""Every edit of the registry: what all of them promise, and what some can be seen to do."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import UsageError
from evaluation.transforms.base import Film, TransformResult
from evaluation.transforms.registry import GROUPS, TRANSFORMS, choose, context_for
from tests.support.evaluation_films import drawn, drawn_partner, flat

PAPER = (
    *("crop_10", "crop_20", "rotate_5", "rotate_10", "brightness_20", "brightness_40"),
    *("compress_50", "compress_25", "speed_0.9", "speed_1.1", "flip_h", "flip_v", "watermark"),
    "combined",
)
LEFT_TO_CHANCE = (
    *(
        "corner_crop_40",
        "moving_crop",
        "perspective",
        "border",
        "noise",
        "caption_band",
        "subtitles",
    ),
    *("emoji", "social_frame", "logo_banner", "pip_large", "pip_small", "reaction", "grid_2x2"),
    *("on_background", "facecam", "ticker_and_logo", "screen_filming", "vertical_repost"),
    *("split_screen_h", "split_screen_v", "excerpt_2", "insert_3", "shuffle", "mix_1", "mix_6"),
    *("pip_corner_25", "pip_moving", "reaction_33", "grid_3x3", "corner_crop_60", "low_light"),
)
RED, BLUE = (200, 20, 20), (20, 20, 200)


def make(name: str, film: Film, video_id: str = "video") -> TransformResult:
    return TRANSFORMS[name].apply(film, context_for(name, video_id, drawn_partner))


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize(("width", "height", "count"), [(64, 48, 20), (47, 65, 1), (9, 7, 5)])
def test_every_edit_keeps_its_promises(name: str, width: int, height: int, count: int) -> None:
    film = drawn(width, height, count)
    before = film.frames.copy()
    made = make(name, film)
    assert np.array_equal(film.frames, before), "the original was drawn on"
    assert made.film.frames.dtype == np.uint8
    assert len(made.film.frames) >= 1
    assert min(made.film.frames.shape[1:3]) >= 2
    assert made.pieces
    for one in made.pieces:
        assert 0 <= one.query_start_seconds < one.query_end_seconds
        assert one.query_end_seconds <= made.film.duration_seconds + 1e-9
        assert 0 <= one.ref_start_seconds < one.ref_end_seconds <= film.duration_seconds + 1e-9
    again = make(name, film)
    assert np.array_equal(again.film.frames, made.film.frames)
    assert (again.pieces, again.partners, again.crf) == (made.pieces, made.partners, made.crf)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_edit_draws_the_partners_that_it_says(name: str) -> None:
    """The keys of caches have these and no others."""
    film, numbers = drawn(9, 7, 5), set[int]()

    def partner(number: int) -> tuple[str, Film]:
        numbers.add(number)
        return drawn_partner(number)

    # A mix chooses its edits at random, so several are made.
    for video in range(100 if name.startswith("mix_") else 1):
        TRANSFORMS[name].apply(film, context_for(name, f"video {video}", partner))
    assert numbers == set(range(TRANSFORMS[name].partners))


@pytest.mark.parametrize("name", LEFT_TO_CHANCE)
def test_chance_is_another_for_another_video(name: str) -> None:
    film = drawn(64, 48, 80)
    results = {
        (made.film.frames.shape, made.film.frames.tobytes())
        for made in (make(name, film, f"video {number}") for number in range(8))
    }
    assert len(results) > 1


def test_chance_depends_on_both_names_and_on_nothing_else() -> None:
    def first(transform: str, video: str) -> int:
        return int(context_for(transform, video, drawn_partner).rng.integers(0, 1 << 60))

    assert first("noise", "a") == first("noise", "a")
    names = [("noise", "a"), ("noise", "b"), ("emoji", "a"), ("nois", "ea"), ("noisea", "")]
    assert len({first(*pair) for pair in names}) == len(names)


def test_the_papers_fourteen_are_there_and_the_other_groups_are_large_enough() -> None:
    assert tuple(one.name for one in choose(["paper"])) == PAPER
    assert len(choose(["photometric"])) >= 24
    assert len(choose(["composed"])) >= 12
    assert len(choose(["temporal"])) >= 16
    assert all(name == one.name for name, one in TRANSFORMS.items())
    assert [one.group for one in TRANSFORMS.values()] == sorted(
        (one.group for one in TRANSFORMS.values()), key=GROUPS.index
    )


def test_transforms_are_chosen_by_name_group_and_pattern_in_the_registrys_order() -> None:
    assert [one.name for one in choose(["insert_[23]", "crop_10"])] == [
        *("crop_10", "insert_2", "insert_3")
    ]
    assert {one.group for one in choose(["temporal"])} == {"temporal"}
    assert choose(["*"]) == tuple(TRANSFORMS.values())


def test_hard_transforms_run_only_when_they_are_asked_for() -> None:
    hard = choose(["hard"])
    assert len(hard) >= 18
    assert (*choose([]), *hard) == tuple(TRANSFORMS.values())
    assert not {one.name for one in choose([])} & {one.name for one in hard}


@pytest.mark.parametrize("pattern", ["crop_11", "Temporal", ""])
def test_a_pattern_that_names_nothing_is_refused_with_what_there_is(pattern: str) -> None:
    with pytest.raises(UsageError, match=r"groups: paper, .*transforms: crop_10, crop_20"):
        choose(["crop_10", pattern])


def test_crops_keep_the_middle() -> None:
    film = drawn(100, 50, 1)
    assert np.array_equal(make("crop_20", film).film.frames, film.frames[:, 5:45, 10:90])


def test_brightness_is_multiplied_and_cut_off() -> None:
    assert make("brightness_40", flat((100, 10, 250))).film.frames[0, 0, 0].tolist() == [
        140,
        14,
        255,
    ]
    assert make("negative", flat((100, 10, 250))).film.frames[0, 0, 0].tolist() == [155, 245, 5]


def test_turning_leaves_black_corners_and_the_middle_in_place() -> None:
    frame = make("rotate_10", flat(RED)).film.frames[0]
    assert frame[0, 0].tolist() == [0, 0, 0]
    assert frame[24, 32].tolist() == list(RED)


def test_quarter_and_half_turns_and_mirrors_move_every_pixel() -> None:
    film = drawn(64, 48, 2)
    frames = film.frames
    assert np.array_equal(make("flip_h", film).film.frames, frames[:, :, ::-1])
    assert np.array_equal(make("flip_v", film).film.frames, frames[:, ::-1])
    assert np.array_equal(make("rotate_180", film).film.frames, frames[:, ::-1, ::-1])
    assert np.array_equal(make("rotate_90", film).film.frames, np.rot90(frames, -1, (1, 2)))


def test_combined_crops_mirrors_and_speeds_up() -> None:
    film = drawn(100, 50, 110)
    made = make("combined", film)
    assert len(made.film.frames) == 100
    assert made.film.frames.shape[1:] == (45, 90, 3)
    middle = film.frames[55, 2:47, 5:95]
    assert np.array_equal(made.film.frames[50], middle[:, ::-1])


def test_stretch_changes_the_shape_of_any_film() -> None:
    for size, expected in (((160, 90), (120, 90)), ((64, 48), (85, 48)), ((90, 160), (90, 120))):
        made = make("stretch", drawn(*size, count=1))
        assert made.film.frames.shape[1:3][::-1] == expected


def test_small_pictures_are_not_enlarged() -> None:
    assert make("low_res_144", drawn(400, 300, 1)).film.frames.shape[1:3] == (144, 192)
    assert make("low_res_144", drawn(64, 48, 1)).film.frames.shape[1:3] == (48, 64)
    assert make("low_res_96", drawn(64, 48, 1)).crf == 51
    assert make("crf_45", drawn(64, 48, 1)).crf == 45


def red_share(name: str, video_id: str = "video") -> float:
    """How much of the picture a red film has among blue partners."""
    film = flat(RED, 160, 90)
    made = TRANSFORMS[name].apply(
        film, context_for(name, video_id, lambda index: (f"partner {index}", flat(BLUE)))
    )
    frame = made.film.frames[1].astype(int)
    return float(np.mean((frame[..., 0] > 150) & (frame[..., 2] < 60)))


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("pip_large", 0.24, 0.37),
        ("pip_small", 0.06, 0.115),
        ("reaction", 0.155, 0.165),
        ("split_screen_h", 0.24, 0.26),
        ("split_screen_v", 0.49, 0.51),
        ("grid_2x2", 0.24, 0.26),
        ("on_background", 0.41, 0.44),
        ("facecam", 0.9, 0.97),
    ],
)
def test_the_original_has_the_share_of_the_picture_it_should(
    name: str, least: float, most: float
) -> None:
    for number in range(6):
        assert least <= red_share(name, f"video {number}") <= most


def test_a_blend_is_six_to_four() -> None:
    made = TRANSFORMS["blend"].apply(
        flat((200, 0, 100)),
        context_for("blend", "video", lambda _: ("partner", flat((0, 100, 100)))),
    )
    assert made.film.frames[0, 0, 0].tolist() == [120, 40, 100]
    assert made.partners == ("partner",)


def test_partners_that_are_seen_are_named() -> None:
    film = drawn(64, 48, 5)
    assert make("grid_2x2", film).partners == ("partner 0", "partner 1", "partner 2")
    assert make("concatenate", film).partners == ("partner 0", "partner 1")
    assert make("ticker_and_logo", film).partners == ()


def test_a_film_shown_upright_on_a_phone_is_nine_by_sixteen() -> None:
    for size in ((160, 90), (90, 160)):
        frames = make("vertical_repost", drawn(*size, count=1)).film.frames
        assert frames.shape[1:3] == (160, 90)


def test_banners_and_letters_leave_most_of_the_picture_alone() -> None:
    film = drawn(160, 90, 3)
    for name in ("watermark", "subtitles", "emoji", "logo_banner", "ticker_and_logo"):
        changed = np.any(make(name, film).film.frames != film.frames, axis=-1)
        assert 0.003 < changed.mean() < 0.35, name
