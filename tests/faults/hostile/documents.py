"""What is no film: playlists that name other files, archives, text, sound, pictures, nothing."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Iterator

import av
import numpy as np

from tests.faults.hostile.base import HostileInput, film, pack

# What playlists point to: SECRET is a film that lies beside them and must never be opened.
SECRET = "secret.mp4"
_PLAYLISTS = {
    "ffconcat": f"ffconcat version 1.0\nfile '{SECRET}'\n",
    "ffconcat of a URL": "ffconcat version 1.0\nfile http://127.0.0.1:9/x.mp4\n",
    "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{SECRET}\n#EXT-X-ENDLIST\n",
    "hls of a URL": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "hls with a key": (
        f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{SECRET}"\n#EXTINF:4,\n{SECRET}\n#EXT-X-ENDLIST\n'
    ),
    "sdp": (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 50000 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    ),
    "dash": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1">'
        f"<BaseURL>{SECRET}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ),
    "m3u": f"{SECRET}\n",
    "pls": f"[playlist]\nFile1={SECRET}\nNumberOfEntries=1\n",
    "image pattern": "shape-%03d.png\n",
    "cue sheet": f'FILE "{SECRET}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "vobsub": f"# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n# {SECRET}\n",
    "smil": f'<smil><body><video src="{SECRET}"/></body></smil>',
    "asx": f'<asx version="3.0"><entry><ref href="{SECRET}"/></entry></asx>',
    "subfile": f"subfile,,start,0,end,0,,:{SECRET}",
    "concat protocol": f"concat:{SECRET}|{SECRET}",
}
_TEXTS = {
    "empty": b"",
    "one byte": b"\0",
    "zeros": bytes(100_000),
    "text": b"Not a film, only words.\n" * 100,
    "html": b"<!doctype html><title>404 Not Found</title>",
    "json": json.dumps({"video": SECRET}).encode(),
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer<<>>\n%%EOF",
    "program": b"\x7fELF\x02\x01\x01" + bytes(4000),
    "typescript": b"export const answer: number = 42;\n" * 50,
    "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 20,
    "pickle": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.",
}
_SUFFIXES = ("mp4", "mkv", "ts", "avi", "mov", "webm")


def make(chance: random.Random, count: int) -> Iterator[HostileInput]:
    """Every playlist, archive and text in turn, under the suffix of a film."""
    every = [
        *((f"playlist: {what}", text.encode(), False) for what, text in _PLAYLISTS.items()),
        *((f"text: {what}", content, False) for what, content in _TEXTS.items()),
        *_packed(chance),
    ]
    for number in range(count):
        what, content, usable = every[number % len(every)]
        suffix = _SUFFIXES[number % len(_SUFFIXES)]
        name = b"document-%03d.%s" % (number, suffix.encode())
        yield HostileInput("documents", what, name, content, usable=usable)


def _packed(chance: random.Random) -> Iterator[tuple[str, bytes, bool | None]]:
    sound = pack(film(chance, count=10), container="mp4", codec="libx264")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../film.mp4", sound)
    yield "archive: zip", packed.getvalue(), None
    yield "archive: gzip", gzip.compress(sound), False
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("film.mp4")
        member.size = len(sound)
        archive.addfile(member, io.BytesIO(sound))
    # A tar holds the film's bytes as they are, and a reader may find them.
    yield "archive: tar", packed.getvalue(), None
    yield "sound", _sound(), False
    yield "a zip behind a film", sound + packed.getvalue(), None
    yield "a film behind text", b"#EXTM3U\n" + sound, None
    yield "half a film", sound[: len(sound) // 2], None
    yield "gzip bomb", gzip.compress(bytes(20_000_000)), False


def _sound() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        sound.sample_rate = 8000
        output.mux(stream.encode(sound))
    return buffer.getvalue()
