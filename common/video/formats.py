"""Which files are opened as videos: formats that hold their own data, none that name other files.

FFmpeg also reads playlists, manifests, session descriptions and patterns of file names. Each makes it
open what the file says: other files of this machine, addresses of its network. So formats and protocols
are whitelisted, FFmpeg gets an open file and not its name, and a list of other files is refused by name.
"""

from __future__ import annotations

import re
from pathlib import PurePath

_VIDEO = (
    *(
        "mov",
        "mp4",
        "matroska",
        "webm",
        "avi",
        "mpegts",
        "mpeg",
        "mpegvideo",
        "asf",
        "asf_o",
        "flv",
    ),
    *("kux", "ogg", "mxf", "ivf", "gif", "apng", "yuv4mpegpipe", "rm", "wtv", "dv", "nut", "nsv"),
    *(
        "nuv",
        "gxf",
        "lxf",
        "swf",
        "dhav",
        "ifv",
        "pva",
        "ty",
        "vivo",
        "cine",
        "flic",
        "bink",
        "smk",
    ),
    *("roq", "thp", "film_cpk", "mpjpeg", "smjpeg"),
)
# A bare stream without a container.
_BARE = (
    *("h261", "h263", "h264", "hevc", "vvc", "evc", "av1", "obu", "m4v", "mjpeg", "mjpeg_2000"),
    *("dirac", "dnxhd", "cavsvideo", "avs2", "avs3", "vc1", "vc1test", "apv"),
)
_PICTURES = (
    *("jpeg_pipe", "png_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe", "gif_pipe", "ppm_pipe"),
    *("jpegxl_pipe", "jpegxl_anim", "j2k_pipe"),
)
# Sound alone is no video, but said to be just that.
_SOUND = ("mp3", "wav", "w64", "flac", "aac", "ac3", "eac3", "aiff", "amr", "caf", "ape", "au")
FORMATS = frozenset((*_VIDEO, *_BARE, *_PICTURES, *_SOUND))

OPTIONS = {
    "format_whitelist": ",".join(sorted(FORMATS)),
    # The name of no protocol: whatever is to be opened beside the file itself is refused.
    "protocol_whitelist": "none",
    # Off by default; a video may not name another that holds its data.
    "enable_drefs": "0",
}

HEAD_BYTES = 4096
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# What the beginning of a file looks like, with leading blanks and byte order marks away, and what it is.
_LISTS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), name)
    for pattern, name in (
        (rb"#EXTM3U.*#EXT-X-", "an HLS playlist"),
        (rb"#EXTM3U", "an M3U playlist"),
        (rb"(rem|title|performer|catalog|file)\s.{0,2000}?\btrack\s+\d+\s", "a cue sheet"),
        (rb"ffconcat\s+version", "an ffconcat list"),
        (rb"file\s+\S+[^\n]*(\n|$)", "an ffconcat list"),
        (rb"v=0\s.{0,200}?\b[osm]=", "an SDP description"),
        (rb"\[playlist\]", "a PLS playlist"),
        (rb"\[reference\]", "an ASF reference"),
        (rb"# ?vobsub index file", "a VobSub index"),
        (
            rb"(rtsptext|asf )?(rtsp|rtmp|mms|https?|ftp|file|concat|subfile)[ts]?:",
            "a list of addresses",
        ),
        (
            rb"(<\?xml[^>]*>|<!--.*?-->|<!doctype[^>]*>|\s)*<([a-z0-9]+:)?mpd[\s>]",
            "a DASH manifest",
        ),
        (rb"(<\?xml[^>]*>|<!--.*?-->|\s)*<smoothstreamingmedia", "a Smooth Streaming manifest"),
        (
            rb"(<\?xml[^>]*>|<!--.*?-->|\s)*<([a-z0-9]+:)?(compositionplaylist|assetmap)",
            "an IMF package",
        ),
        (rb"(<\?xml[^>]*>|<!--.*?-->|<!doctype[^>]*>|\s)*<(playlist|asx|smil|wpl)\b", "a playlist"),
        (rb"(<\?xml[^>]*>|<!--.*?-->|<!doctype[^>]*>|\s)*<svg\b", "an SVG drawing"),
        (rb"mpls0[123]00", "a Blu-ray playlist"),
        (rb"dvdvideo-v[mt][gs]", "a DVD index"),
        (rb"mlvi", "a Magic Lantern recording in parts"),
    )
)


def named_list(head: bytes) -> str | None:
    """What a file that names other files is, told by its first bytes; None for anything else."""
    start = head[:HEAD_BYTES]
    if start[:2] in _BOMS:
        start = start.decode("utf-16", errors="replace").encode()
    for mark in _BOMS:
        start = start.removeprefix(mark)
    start = start.lstrip()
    return next((name for pattern, name in _LISTS if pattern.match(start)), None)


def is_text(head: bytes) -> bool:
    """Whether a file begins as a text does."""
    start = head[:HEAD_BYTES]
    if start[:2] in _BOMS:
        return True
    controls = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in start)
    return bool(start.strip()) and controls == 0


def shown_name(name: str) -> str:
    """The name FFmpeg is told: the suffix alone, by which it tells bare streams apart.

    The whole name may be a pattern (`img%03d.jpg`) or begin with a protocol (`concat:`).
    """
    suffix = PurePath(name).suffix.lower()
    return f"video{suffix}" if re.fullmatch(r"\.[a-z0-9]{1,5}", suffix) else "video"
