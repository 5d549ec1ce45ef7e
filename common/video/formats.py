"""The video formats that are opened: only formats that hold their own data.

FFmpeg also reads playlists, manifests, session descriptions and file name patterns. They make it open
other files of this machine or addresses in its network. So formats and protocols are whitelisted, FFmpeg
gets an open file without its name, and a list of other files is refused with an error that names its
kind.
"""

from __future__ import annotations

import re
from pathlib import PurePath

_VIDEO = (
    *("mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "asf", "asf_o"),
    *("flv", "kux", "ogg", "mxf", "ivf", "gif", "apng", "yuv4mpegpipe", "rm", "wtv", "dv", "nut"),
    *("nsv", "nuv", "gxf", "lxf", "swf", "dhav", "ifv", "pva", "ty", "vivo", "cine", "flic"),
    *("bink", "smk", "roq", "thp", "film_cpk", "mpjpeg", "smjpeg"),
)
# Streams without a container.
_BARE = (
    *("h261", "h263", "h264", "hevc", "vvc", "evc", "av1", "obu", "m4v", "mjpeg", "mjpeg_2000"),
    *("dirac", "dnxhd", "cavsvideo", "avs2", "avs3", "vc1", "vc1test", "apv"),
)
_PICTURES = (
    *("jpeg_pipe", "png_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe", "gif_pipe", "ppm_pipe"),
    *("jpegxl_pipe", "jpegxl_anim", "j2k_pipe"),
)
# Files with sound alone are opened, so that the error can say that there is no video stream.
_SOUND = ("mp3", "wav", "w64", "flac", "aac", "ac3", "eac3", "aiff", "amr", "caf", "ape", "au")
FORMATS = frozenset((*_VIDEO, *_BARE, *_PICTURES, *_SOUND))
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
"""Those of a folder of numbered pictures."""

OPTIONS = {
    "format_whitelist": ",".join(sorted(FORMATS)),
    # No protocol has this name, so FFmpeg cannot open anything besides the file.
    "protocol_whitelist": "none",
    # This is FFmpeg's default: a video may not refer to another file with its data.
    "enable_drefs": "0",
}

HEAD_BYTES = 4096
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# Beginning of a file, after byte order marks and white space, and the kind of list it shows.
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
    """The kind of list, from the first bytes of a file that refers to other files; None for any other
    file."""
    start = head[:HEAD_BYTES]
    if start[:2] in _BOMS:
        start = start.decode("utf-16", errors="replace").encode()
    for mark in _BOMS:
        start = start.removeprefix(mark)
    start = start.lstrip()
    return next((name for pattern, name in _LISTS if pattern.match(start)), None)


def is_text(head: bytes) -> bool:
    """Whether the beginning of a file is text."""
    start = head[:HEAD_BYTES]
    if start[:2] in _BOMS:
        return True
    controls = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in start)
    return bool(start.strip()) and controls == 0


def shown_name(name: str) -> str:
    """The name given to FFmpeg: only the suffix, by which FFmpeg recognises streams without a container.

    The complete name might be a pattern (`img%03d.jpg`) or begin with a protocol (`concat:`). A picture
    has no suffix: by it, FFmpeg takes larger JPEG files for the format that reads such patterns.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in PICTURE_SUFFIXES or not re.fullmatch(r"\.[a-z0-9]{1,5}", suffix):
        return "video"
    return f"video{suffix}"
