"""A file opens nothing but itself: no other file, no connection."""

from __future__ import annotations

import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from av.format import ContainerFormat, formats_available

from common.errors import StoryHashError, VideoError
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry
from common.video import Decoder, encode_video, probe
from common.video.formats import FORMATS, PICTURE_SUFFIXES, named_list
from ingest.decoder_pool import DecoderPool, VideoFailed
from ingest.suffixes import VIDEO_SUFFIXES
from tests.conftest import checkerboard
from tests.support.opened_files import watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify tells what is opened")
LIMITS = VideoSettings()

# {file}: a film beside the list. {url}: an address that must get no connection.
LISTS = {
    "an ffconcat list": "ffconcat version 1.0\nfile {file}\nfile {url}\n",
    "an ffconcat list ": "\ufeff\n ffconcat  version 1.0\nfile {file}\n",
    "an HLS playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXTINF:9,\n{file}\n",
    "an M3U playlist": "#EXTM3U\n#EXTINF:9,film\n{file}\n{url}\n",
    "an SDP description": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video {port} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
    "a DASH manifest": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">'
    "<BaseURL>{url}</BaseURL></MPD>",
    "a PLS playlist": "[playlist]\nFile1={url}\nFile2={file}\n",
    "a cue sheet": 'FILE "{file}" WAVE\n  TRACK 01 AUDIO\n',
    "a VobSub index": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n",
    "an IMF package": '<?xml version="1.0"?><CompositionPlaylist xmlns="x">{url}</CompositionPlaylist>',
    "a list of addresses": "{url}\nfile:{file}\n",
    "an SVG drawing": '<svg xmlns="x"><image href="{file}"/></svg>',
    "a playlist": '<?xml version="1.0"?><playlist><location>{url}</location></playlist>',
    # No list by its first bytes; FFmpeg's own probes know some of the rest.
    "": "{file}\n{url}\n",
}


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def connected(server: socket.socket) -> bool:
    with suppress(BlockingIOError):
        server.accept()[0].close()
        return True
    return False


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".sdp", ".idx", ""])
def test_a_list_of_other_files_opens_none_of_them(
    tmp_path: Path, listening: socket.socket, name: str, suffix: str
) -> None:
    encode_video(tmp_path / "secret.mp4", [checkerboard()] * 5, 5)
    shutil.copy(tmp_path / "secret.mp4", tmp_path / "list.sub")
    port = listening.getsockname()[1]
    text = LISTS[name].format(file="secret.mp4", url=f"http://127.0.0.1:{port}/film.mp4", port=port)
    path = tmp_path / f"list{suffix}"
    path.write_text(text)
    with watched(tmp_path) as opened:
        for source in (path, text.encode()):
            with pytest.raises(VideoError) as refused:
                list(Decoder(source, LIMITS, frames_per_second=8, short_side=480))
            if name:
                assert f"{name.strip()} refers to other files" in str(refused.value)
            else:
                assert re.search("a text|its format", str(refused.value))
    assert set(opened) == {path.name}
    assert not connected(listening)


def test_a_list_in_the_decoder_of_a_service_opens_nothing(
    tmp_path: Path, listening: socket.socket
) -> None:
    encode_video(tmp_path / "secret.mp4", [checkerboard()] * 5, 5)
    port = listening.getsockname()[1]
    jobs = []
    for number, text in enumerate(LISTS.values()):
        path = tmp_path / f"list{number}.mp4"
        path.write_text(text.format(file="secret.mp4", url=f"http://127.0.0.1:{port}", port=port))
        jobs.append((CatalogEntry(path.name, str(path)), 1))
    with watched(tmp_path) as opened, DecoderPool(LIMITS, IngestSettings(workers=1)) as pool:
        events = list(pool.run(jobs))
    assert all(isinstance(event, VideoFailed) for event in events)
    assert len(events) == len(jobs)
    assert "secret.mp4" not in opened
    assert not connected(listening)


def test_a_name_is_no_pattern_and_no_protocol(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"img{number:03}.jpg"), np.full((48, 64, 3), 90, np.uint8))
    names = ["img%03d.jpg", "img*.jpg", "img{000,001}.jpg", "concat:img000.jpg|img001.jpg", "-"]
    for name in names:
        shutil.copy(tmp_path / "img000.jpg", tmp_path / name)
        with watched(tmp_path) as opened:
            frames = list(Decoder(tmp_path / name, LIMITS, frames_per_second=1, short_side=480))
        assert opened == [name]
        assert len(frames) == 1
    (tmp_path / "img%03d.jpg").write_bytes(b"")
    with watched(tmp_path) as opened, pytest.raises(VideoError):
        probe(tmp_path / "img%03d.jpg", LIMITS)
    assert opened == ["img%03d.jpg"]


@pytest.mark.parametrize("suffix", sorted({*PICTURE_SUFFIXES, ".JPG"}))
def test_a_large_picture_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"0001{suffix}"
    picture = np.random.default_rng(1).integers(0, 256, (480, 854, 3)).astype(np.uint8)
    assert cv2.imwrite(str(path), picture)
    (frame,) = Decoder(path, LIMITS, frames_per_second=1, short_side=480)
    assert frame.rgb.shape == (480, 854, 3)


def test_formats_that_name_other_files_are_not_on_the_list() -> None:
    """Those of FFmpeg that open what they name, or ask a device or the network."""
    elsewhere = {
        *("concat", "hls", "dash", "imf", "sdp", "rtsp", "rtp", "sap", "image2", "image2pipe"),
        *("alias_pix", "brender_pix", "vobsub", "webm_dash_manifest", "mlv", "lavfi", "svg_pipe"),
    }
    assert not FORMATS & elsewhere
    for name in FORMATS & set(formats_available):
        assert not ContainerFormat(name, "r").no_file


def test_whatever_is_promised_to_be_a_video_can_be_opened() -> None:
    offered = {
        extension
        for name in FORMATS & set(formats_available)
        for extension in ContainerFormat(name, "r").extensions
    }
    # FFmpeg names no suffix for these: it goes by content alone. The format that each is read as.
    by_content = {
        "mov": "3gp2 3gpp mp4v mpg4 mqv qt",
        "asf": "asf dvr-ms wmv",
        "avi": "amv divx xvid",
        "mpegts": "m2ts mts tod tp trp ts",
        "mpeg": "m2p mpe mpeg mpg mpv vob vro",
        "mpegvideo": "m1v m2v mp2v",
        "ogg": "ogm ogv",
        "rm": "rm rmvb",
        **{name: name for name in ("h263", "ivf", "gxf", "mxf", "nsv", "roq", "smk", "wtv")},
        "av1": "av1",
        "bink": "bik",
    }
    assert set(by_content) <= FORMATS
    for suffixes in by_content.values():
        offered |= set(suffixes.split())
    assert {suffix[1:] for suffix in VIDEO_SUFFIXES} <= offered | {"avi", "m4v"}


def test_a_format_that_is_not_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "film.webvtt"
    path.write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nwords\n")
    with pytest.raises(VideoError, match="webvtt"):
        probe(path, LIMITS)


@pytest.mark.parametrize(
    "head", [b"", b"YUV4MPEG2 W64 H48 F25:1\nFRAME\n\x10", b"\x00\x00\x00\x20ftypisom", b"GIF89a"]
)
def test_a_video_is_no_list(head: bytes) -> None:
    assert named_list(head) is None


def test_a_refusal_is_one_of_ours(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 200 + ".mp4")
    path.write_bytes(b"\xff\xfe" + "#EXTM3U\n#EXT-X-VERSION:3\n".encode("utf-16-le"))
    with pytest.raises(StoryHashError, match="an HLS playlist refers to other files"):
        probe(path, LIMITS)
