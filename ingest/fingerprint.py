"""Fingerprints, which tell whether a source has changed since it was last read.

The parts of a fingerprint are joined by `;`: first the number of files, their size and the newest
modification time, then `name=value` for everything else. Older fingerprints have only the first part. A
part that only one of two fingerprints has is ignored in a comparison.
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
# Bytes read at the start, the middle and the end of a file: headers and indexes are at the ends, and no
# two videos agree in all three.
_PIECE_BYTES = 1 << 16


def source_fingerprint(uri: str) -> str:
    """The fingerprint of a file, or of the pictures of a folder, by size and modification time. Reads no
    content.

    Empty for a URL, whose content is assumed not to change, and for an unreadable source.
    """
    if is_remote(uri):
        return _REMOTE
    try:
        status = os.stat(uri)
        stats = [file.stat() for file in _files(uri)] if stat.S_ISDIR(status.st_mode) else [status]
    except (OSError, ValueError):
        return ""
    newest = max((file_status.st_mtime_ns for file_status in stats), default=0)
    return f"{len(stats)}-{sum(file_status.st_size for file_status in stats)}-{newest}"


def is_gone(path: str) -> bool:
    """Whether there is certainly no such file; False where the system does not say, for example because
    the folder may not be entered."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False
    return False


def with_content(fingerprint: str, uri: str) -> str:
    """The fingerprint with a digest of parts of the content, which identifies a moved file; unchanged for
    a URL and for an unreadable source."""
    if not fingerprint or fingerprint == _REMOTE or _parts(fingerprint).get(_CONTENT):
        return fingerprint
    digest = content_digest(uri)
    return f"{fingerprint};{_CONTENT}={digest}" if digest else fingerprint


def content_digest(uri: str) -> str:
    """Digest of the start, middle and end of a file, or of the sizes of all pictures and of three
    pictures. Empty for an unreadable source."""
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
    """The fingerprint of the source, of its bank, title and metadata, and of the segment settings."""
    text = json.dumps(
        [public_uri(entry.uri), entry.bank, entry.title, dict(entry.metadata)], sort_keys=True
    )
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    fingerprint = f"{source_fingerprint(entry.uri)}-{digest}"
    return f"{fingerprint};{_CUT}={cut}" if cut else fingerprint


def cut_of(video: VideoSettings, ingest: IngestSettings) -> str:
    """Digest of all settings that shape segments; they must be equal for all segments of a version."""
    shaping = (
        ingest.segment_seconds,
        ingest.min_tail_seconds,
        video.frames_per_second,
        video.short_side,
        video.max_clip_pixels,
        video.max_clip_bytes,
    )
    return hashlib.blake2b(repr(shaping).encode(), digest_size=4).hexdigest()


def same_source(first: str, second: str) -> bool:
    """Whether two fingerprints are of the same unchanged file at the same place."""
    return first.partition(";")[0] == second.partition(";")[0]


def same_cut(first: str, second: str) -> bool | None:
    """Whether two fingerprints are of segments cut the same way; None if one does not say."""
    first_cut, second_cut = _parts(first).get(_CUT), _parts(second).get(_CUT)
    return None if first_cut is None or second_cut is None else first_cut == second_cut


def same_size(first: str, second: str) -> bool:
    """Whether two fingerprints are of as many files of the same size together."""
    return _counts(first)[:2] == _counts(second)[:2]


def same_content(uri: str, fingerprint: str, other_uri: str, other: str) -> bool:
    """Whether two sources have the same bytes, according to sizes and digests.

    A fingerprint of an older version has no digest; it is compared by the file itself if it still exists,
    else by size and modification time.
    """
    if not fingerprint or fingerprint == _REMOTE or not same_size(fingerprint, other):
        return False
    # For a copy or move with the same modification time, an older row without a digest is enough.
    digest = _parts(other).get(_CONTENT) or content_digest(other_uri)
    if not digest:
        return _counts(fingerprint) == _counts(other)
    return digest == (_parts(fingerprint).get(_CONTENT) or content_digest(uri))


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
    """Number of files, bytes and modification time."""
    return fingerprint.partition(";")[0].split("-")[:3]


def _parts(fingerprint: str) -> dict[str, str]:
    named = (part.partition("=") for part in fingerprint.split(";")[1:])
    return {name: value for name, _, value in named}
