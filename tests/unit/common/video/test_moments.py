"""Pictures of a video at given times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import NoFramesError
from common.settings import VideoSettings
from common.video import encode_video, moments


def test_a_picture_far_from_a_key_frame_is_refused_and_no_other_is_given_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = (np.full((96, 128, 3), 40 + 10 * number, np.uint8) for number in range(20))
    encode_video(tmp_path / "film.mp4", frames, 4.0)
    monkeypatch.setattr(moments, "_MOST_FRAMES", 10)
    pictures = moments.pictures_at(
        tmp_path / "film.mp4", [1.0, 4.5], VideoSettings(), short_side=96
    )
    assert round((float(next(pictures).mean()) - 40) / 10) == 4
    with pytest.raises(NoFramesError, match="key frame"):
        next(pictures)
