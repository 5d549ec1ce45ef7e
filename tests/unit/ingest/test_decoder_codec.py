"""What a decoder says of a video is believed as far as it can be checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from common.errors import DecoderCrashedError
from common.sandbox.codec import pack
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry, Segment
from ingest.clip_packer import ProducedVideo, produce
from ingest.decoder_codec import DecodedSegment, in_order, piece_codec
from tests.unit.ingest.test_catalogue_and_decoders import film

CODEC = piece_codec(VideoSettings(max_clip_bytes=100))
DONE = ProducedVideo(5.0, 1, None, {"decode": 1.0, "pack": 0.5})


def sent(header: Mapping[str, Any], *buffers: bytes) -> memoryview:
    return memoryview(b"".join(bytes(part) for part in pack(header, *buffers)))


@pytest.mark.parametrize("result", [DecodedSegment(0.0, 4.0, b"clip"), DONE])
def test_results_come_back_as_they_were(result: DecodedSegment | ProducedVideo) -> None:
    assert CODEC.decode(memoryview(b"".join(map(bytes, CODEC.encode(result))))) == result


DONE_FIELDS: dict[str, Any] = {
    "duration_seconds": 5.0,
    "segments": 1,
    "damaged": None,
    "stage_seconds": {},
}


@pytest.mark.parametrize(
    ("header", "buffers"),
    [
        ({}, []),
        ({"segment": {"start_seconds": 0.0, "end_seconds": 4.0}}, []),
        ({"segment": {"start_seconds": 0.0, "end_seconds": 4.0}}, [b""]),
        ({"segment": {"start_seconds": 0.0, "end_seconds": 4.0}}, [b"x" * 101]),
        ({"segment": {"start_seconds": 4.0, "end_seconds": 4.0}}, [b"x"]),
        ({"segment": {"start_seconds": -1.0, "end_seconds": 4.0}}, [b"x"]),
        ({"segment": {"start_seconds": 0.0, "end_seconds": float("inf")}}, [b"x"]),
        ({"segment": {"start_seconds": float("nan"), "end_seconds": 4.0}}, [b"x"]),
        ({"segment": {"start_seconds": 0.0}}, [b"x"]),
        ({"segment": [0.0, 4.0]}, [b"x"]),
        ({"done": None}, []),
        ({"done": {**DONE_FIELDS, "segments": -1}}, []),
        ({"done": {**DONE_FIELDS, "segments": "many"}}, []),
        ({"done": {**DONE_FIELDS, "duration_seconds": float("nan")}}, []),
        ({"done": {**DONE_FIELDS, "stage_seconds": {"decode": -1.0}}}, []),
        ({"done": {**DONE_FIELDS, "stage_seconds": {"a" * 50: 1.0}}}, []),
        ({"done": {**DONE_FIELDS, "stage_seconds": {chr(97 + n): 1.0 for n in range(20)}}}, []),
    ],
)
def test_what_cannot_be_is_refused(header: Mapping[str, Any], buffers: list[bytes]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        CODEC.decode(sent(header, *buffers))


def test_words_of_a_decoder_are_one_line() -> None:
    done = CODEC.decode(sent({"done": {**DONE_FIELDS, "damaged": "a\x1b[2J\nb" * 1000}}))
    assert isinstance(done, ProducedVideo)
    assert done.damaged is not None
    assert done.damaged.isprintable()
    assert len(done.damaged) <= 1000


def test_results_that_contradict_one_another_are_refused() -> None:
    first, second = DecodedSegment(0.0, 4.0, b"x"), DecodedSegment(4.0, 5.0, b"x")
    end = ProducedVideo(5.0, 2, None, {})
    assert list(in_order([first, second, end])) == [first, second, end]
    wrongs: tuple[Any, ...] = (
        *([first, first], [second, first], [first, end], [end], [first, second], []),
    )
    for wrong in wrongs:
        with pytest.raises(DecoderCrashedError):
            list(in_order(wrong))


def test_every_frame_is_a_sign_of_life_before_the_first_segment_is_out(tmp_path: Path) -> None:
    """The first segment of ten seconds of 4K at 60 fps takes longer than a decoder may be silent."""
    path = film(tmp_path / "film.mp4", 4)
    beats: list[int] = []
    whole = IngestSettings(segment_seconds=3600)
    results = produce(
        CatalogEntry("film", str(path)), path, 1, VideoSettings(), whole, lambda: beats.append(1)
    )
    assert isinstance(next(results), Segment)
    assert len(beats) >= 32
