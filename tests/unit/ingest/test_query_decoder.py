"""Queries decoded for callers in many threads: at once, each in a child of its own."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from common.cancellation import Cancellation
from common.errors import CancelledError, VideoError
from common.settings import IngestSettings, VideoSettings
from common.video import encode_video
from ingest.query_decoder import QueryDecoder
from storyhash.samples import FRAMES_PER_SECOND, film

ENDLESS = VideoSettings(stall_seconds=3600, wall_seconds=3600)


def test_a_query_that_hangs_keeps_no_other_waiting_and_is_killed_once_its_caller_has_gone(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "slow.mp4")
    encode_video(tmp_path / "film.mp4", film(1, 2.0), FRAMES_PER_SECOND)
    (tmp_path / "bad.mp4").write_bytes(b"rubbish")
    cancellation = Cancellation()
    errors: list[BaseException] = []

    def hang(decoder: QueryDecoder) -> None:
        try:
            decoder.decode(tmp_path / "slow.mp4", cancellation)
        except CancelledError as error:
            errors.append(error)

    with QueryDecoder(ENDLESS, IngestSettings(), 2) as decoder:
        hanging = threading.Thread(target=hang, args=(decoder,))
        hanging.start()
        for _ in range(2):
            decoded = decoder.decode(tmp_path / "film.mp4")
            assert len(decoded.segments) == 1
            assert decoded.duration_seconds == pytest.approx(2.0)
            decoded.close()
        with pytest.raises(VideoError):
            decoder.decode(tmp_path / "bad.mp4")
        cancellation.cancel()
        hanging.join()
        assert len(errors) == 1
        # One that waits for a child does not begin for a caller that has gone.
        with pytest.raises(CancelledError):
            decoder.decode(tmp_path / "film.mp4", cancellation)
