"""Fuses visual and action features of the same segments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from common.errors import UsageError
from embedder.fusion import FUSION_FINGERPRINT, FusionMode, fuse
from embedder.stage import model_id
from embedder.weights.checksum import short_id
from storyhash.features.files import Features
from storyhash.profiles import profile_name

_UNITS: dict[FusionMode, str] = {
    "storyhash": "unit vector: 512 visual and 15 action, weighted so that products are a sum of cosines",
    "paper": "unit vector: 512 visual and 15 min-max scaled action, concatenated as published",
    "visual": "unit vector: 512 visual and 15 zeros",
}


def fuse_features(visual: Features, action: Features, mode: FusionMode) -> Features:
    """Rows of 527 numbers. In mode `storyhash` they are the vectors that `storyhash index` stores, with
    the same model_id.

    Raises UsageError if the two do not describe the same segments, cut with the same settings.
    """
    if visual.settings != action.settings:
        raise UsageError(
            f"the features have different segment settings: {dict(visual.settings)} and "
            f"{dict(action.settings)}; create both with the same settings"
        )
    for number, (first, second) in enumerate(zip(visual.rows, action.rows, strict=False)):
        if first.place != second.place:
            raise UsageError(
                f"row {number} is {first.place} in one file and {second.place} in the other; "
                "create both from the same videos"
            )
    if len(visual.rows) != len(action.rows):
        raise UsageError(
            f"one file has {len(visual.rows)} rows, the other {len(action.rows)}; create "
            "both from the same videos"
        )
    informative = np.array([row.informative for row in visual.rows], dtype=bool)
    values = fuse(visual.values, action.values, mode)
    sampling = str(visual.settings["sampling"])
    profile = profile_name(visual.backend, action.backend)
    fingerprints = (visual.fingerprint, action.fingerprint)
    # An index has rows of segments, not of whole videos.
    as_indexed = mode == "storyhash" and visual.settings["rows"] == "segment"
    return Features(
        kind="fused",
        values=np.where(informative[:, None], values, np.float32(0)),
        rows=tuple(
            replace(row, quality=moved.quality)
            for row, moved in zip(visual.rows, action.rows, strict=True)
        ),
        units=_UNITS[mode],
        backend=profile,
        fingerprint="\n".join((*fingerprints, FUSION_FINGERPRINT)),
        model_id=(
            model_id(profile, *fingerprints, sampling)
            if as_indexed
            else short_id(f"{profile}-fused-{mode}", *fingerprints, FUSION_FINGERPRINT, sampling)
        ),
        settings={**visual.settings, "mode": mode},
    )
