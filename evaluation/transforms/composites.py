"""Several mild edits in a row, like a video that was reposted many times. The edits are chosen at random
for every video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from evaluation.transforms import camcording as filming
from evaluation.transforms import composed, geometric, overlays, paper, photometric, temporal
from evaluation.transforms.base import Film, Group, Transform, TransformContext, TransformResult
from evaluation.transforms.timeline import chain

_KNOWN: Mapping[str, Transform] = {
    transform.name: transform
    for module in (paper, photometric, geometric, overlays, composed, filming, temporal)
    for transform in module.TRANSFORMS
}


def _by_names(names: Iterable[str]) -> tuple[Transform, ...]:
    return tuple(_KNOWN[name] for name in names)


_PICTURES = _by_names(
    (
        *("crop_10", "rotate_5", "brightness_20", "compress_50", "flip_h", "grayscale", "blur"),
        *("noise", "contrast_up", "gamma_light", "saturation", "filter_sepia", "filter_vignette"),
        *("letterbox", "stretch", "border", "low_res_144"),
    )
)
_LAYOUTS = _by_names(
    (
        "pip_large",
        "on_background",
        "vertical_repost",
        "facecam",
        "ticker_and_logo",
        "split_screen_h",
    )
)
_SIGNS = _by_names(
    ("caption_band", "subtitles", "emoji", "social_frame", "logo_banner", "watermark")
)
_TIMES = _by_names(
    (
        *(
            "speed_0.9",
            "speed_1.1",
            "fps_drop",
            "trim_start",
            "trim_end",
            "trim_middle",
            "insert_5",
        ),
        *("concatenate", "ramp", "jump_cuts", "excerpt_5"),
    )
)


def _mix(number: int, group: Group, laid_out: tuple[Transform, ...]) -> Transform:
    """One edit of the picture, one of its surroundings, one of time; the last two in random order."""

    pools = (_PICTURES, laid_out, _TIMES)

    def apply(film: Film, context: TransformContext) -> TransformResult:
        steps = [_one(pool, context) for pool in pools]
        if context.rng.integers(0, 2):
            steps[1], steps[2] = steps[2], steps[1]
        return chain(film, context, steps)

    parameters = {"one_each_of": ", ".join("/".join(step.name for step in pool) for pool in pools)}
    partners = sum(max(step.partners for step in pool) for pool in pools)
    return Transform(f"mix_{number}", group, apply, parameters, partners)


def _one(pool: tuple[Transform, ...], context: TransformContext) -> Transform:
    return pool[int(context.rng.integers(0, len(pool)))]


TRANSFORMS = (
    *(_mix(number, "composed", _LAYOUTS) for number in (1, 2, 3, 4)),
    *(_mix(number, "temporal", _SIGNS) for number in (5, 6)),
)
