"""The size and the thumbnails of a file, read in a child process."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.settings import VideoSettings
from common.video import encode_video
from storyhash.duplicates.file_reading import FileReader, PictureSize


@pytest.mark.usefixtures("own_interpreters")
def test_a_file_is_read_in_an_interpreter_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    encode_video(path, (np.full((96, 128, 3), 40 * n, np.uint8) for n in range(4)), 4.0)
    with FileReader(VideoSettings()) as reader:
        assert reader.picture_size(str(path)) == PictureSize(128, 96, path.stat().st_size)
        (thumbnail,) = reader.thumbnails(str(path), [0.5])
    picture = cv2.imdecode(np.frombuffer(thumbnail.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (96, 128, 3)
    assert float(picture.mean()) == pytest.approx(80, abs=4)
