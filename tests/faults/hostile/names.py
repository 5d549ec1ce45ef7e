"""Sound films under names that a shell, a terminal, a URL or a database may trip over."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.faults.hostile.base import HostileInput, film, pack

_NAMES: tuple[bytes, ...] = (
    b"new\nline.mp4",
    b"\x1b[31mred\x1b[0m.mp4",
    b"\x1b]0;title\x07.mp4",
    "\N{CLAPPER BOARD}\N{FIRE} \N{ZERO WIDTH JOINER}.mp4".encode(),
    "right\N{RIGHT-TO-LEFT OVERRIDE}4pm.mp4".encode(),
    b"x" * 251 + b".mp4",
    ("\N{GRINNING FACE}" * 62).encode() + b".mp4",
    b"invalid-\xff\xfe.mp4",
    b"\xc3\x28.mkv",
    b"-rf.mp4",
    b"--help.mp4",
    b" leading.mp4",
    b"trailing .mp4",
    b"..mp4",
    b"a..b..mp4",
    b"%2e%2e%2f.mp4",
    b"%00.mp4",
    b"q?x=1&y=2#z.mp4",
    b"semi;colon,comma.mp4",
    b"quote'\".mp4",
    b"back\\slash.mp4",
    b"$(touch pwned).mp4",
    b"`id`.mp4",
    b"tab\there.mp4",
    b"bell\x07.mp4",
    b"cr\rreturn.mp4",
    b"\x7fdelete.mp4",
    b"UPPER.MP4",
    b"name.with.many.dots.mp4",
    b"http:example.mp4",
    b"file:x.mp4",
    b"concat:a|b.mp4",
    b"CON.mp4",
    b"frame%03d.mp4",
    b"*.mp4",
    b"[1-2].mp4",
    b"{a,b}.mp4",
    b"video_id@0-4000.mp4",
    "e\N{COMBINING ACUTE ACCENT}.mp4".encode(),
    "\N{LATIN SMALL LETTER E WITH ACUTE}.mp4".encode(),
    "\N{ZERO WIDTH SPACE}.mp4".encode(),
    "line\N{LINE SEPARATOR}separator.mp4".encode(),
)


def make(chance: random.Random, count: int) -> Iterator[HostileInput]:
    """Every name once; more of them get a number."""
    for number in range(count):
        name = _NAMES[number % len(_NAMES)]
        if number >= len(_NAMES):
            name = b"%d-" % number + name[-200:]
        content = pack(film(chance, count=20), container="mp4", codec="libx264")
        usable: bool | None = True
        try:
            name.decode()
            # A hidden file is passed over in a folder, and read where it is named.
            if name.startswith(b"."):
                usable = None
        except UnicodeDecodeError:
            usable = False
        yield HostileInput("names", repr(name[:60]), name, content, usable=usable)
