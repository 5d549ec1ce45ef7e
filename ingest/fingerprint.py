"""Whether a source has changed since it was last read.

A fingerprint is made of parts joined by `;`: first what the file system says (number of files, their
size, newest time of change), then `name=value` for what else is known. Older ones have the first part
alone; a part that only one of two fingerprints has says nothing about whether they differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry
from common.uris import is_remote, public_uri
from ingest.frame_folders import frame_paths

_REMOTE = "remote"
_CONTENT, _CUT = "content", "cut"
# So much is read at the head, in the middle and at the end of a file: headers and indexes lie at the
# ends, and no two videos agree in all three.
_PIECE_BYTES = 1 << 16


def source_fingerprint(uri: str) -> str:
    """Changes when the file does (size and time of change), or any picture of a frame folder. Reads no
    content.

    An address has none: what lies there is taken to stay the same. Empty for what cannot be read.
    """
    if is_remote(uri):
        return _REMOTE
    try:
        found = os.stat(uri)
        stats = [file.stat() for file in _files(uri)] if stat.S_ISDIR(found.st_mode) else [found]
    except (OSError, ValueError):
        return ""
    newest = max((one.st_mtime_ns for one in stats), default=0)
    return f"{len(stats)}-{sum(one.st_size for one in stats)}-{newest}"


def with_content(fingerprint: str, uri: str) -> str:
    """The fingerprint of a source with a digest of parts of its content, so that it is known again where
    it was moved to; as it is for an address and for what cannot be read."""
    if not fingerprint or fingerprint == _REMOTE or _parts(fingerprint).get(_CONTENT):
        return fingerprint
    digest = content_digest(uri)
    return f"{fingerprint};{_CONTENT}={digest}" if digest else fingerprint


def content_digest(uri: str) -> str:
    """Of the head, middle and end of a file, or of the pictures' sizes and of three pictures. Empty for
    what cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        files = _files(uri)
        if len(files) > 1:
            for file in files:
                digest.update(f"{file.name}\0{file.stat().st_size}\0".encode(errors="replace"))
            files = [files[0], files[len(files) // 2], files[-1]]
        for file in files:
            _add_pieces(digest, file)
    except OSError:
        return ""
    return digest.hexdigest()


def entry_fingerprint(entry: CatalogEntry, cut: str = "") -> str:
    """The source's, that of what is said about it (bank, title, metadata), and how it is cut."""
    told = json.dumps(
        [public_uri(entry.uri), entry.bank, entry.title, dict(entry.metadata)], sort_keys=True
    )
    digest = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    fingerprint = f"{source_fingerprint(entry.uri)}-{digest}"
    return f"{fingerprint};{_CUT}={cut}" if cut else fingerprint


def cut_of(video: VideoSettings, ingest: IngestSettings) -> str:
    """A digest of every setting that shapes segments: segments of one version must agree in them."""
    shaping = (
        *(ingest.segment_seconds, ingest.min_tail_seconds),
        *(video.frames_per_second, video.short_side),
        *(video.max_clip_pixels, video.max_clip_bytes),
    )
    return hashlib.blake2b(repr(shaping).encode(), digest_size=4).hexdigest()


def same_source(one: str, other: str) -> bool:
    """Whether two fingerprints are of the same file, unchanged where it was."""
    return one.partition(";")[0] == other.partition(";")[0]


def same_cut(one: str, other: str) -> bool | None:
    """Whether two fingerprints are of segments cut the same way; None where one does not say."""
    first, second = _parts(one).get(_CUT), _parts(other).get(_CUT)
    return None if first is None or second is None else first == second


def same_content(uri: str, fingerprint: str, other_uri: str, other: str) -> bool:
    """Whether two sources hold the same bytes, as far as sizes and digests tell.

    A fingerprint without a digest (of an older version) is compared by the file itself where that is
    still there, else by its size and time of change.
    """
    counts, other_counts = _counts(fingerprint), _counts(other)
    if not fingerprint or fingerprint == _REMOTE or counts[:2] != other_counts[:2]:
        return False
    # Copies and moves that keep the time need no look at the content of an older version's row.
    known = _parts(other).get(_CONTENT) or content_digest(other_uri)
    if not known:
        return counts == other_counts
    return known == (_parts(fingerprint).get(_CONTENT) or content_digest(uri))


def _files(uri: str) -> list[Path]:
    path = Path(uri)
    return frame_paths(path) if path.is_dir() else [path]


def _add_pieces(digest: hashlib.blake2b, path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(f"{size}\0".encode())
        for start in (0, size // 2, max(0, size - _PIECE_BYTES)):
            file.seek(start)
            digest.update(file.read(_PIECE_BYTES) or b"")


def _counts(fingerprint: str) -> list[str]:
    """Number of files, bytes and time of change."""
    return fingerprint.partition(";")[0].split("-")[:3]


def _parts(fingerprint: str) -> dict[str, str]:
    named = (part.partition("=") for part in fingerprint.split(";")[1:])
    return {name: value for name, _, value in named}
