"""Whether a source has changed since it was last read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from common.types import CatalogEntry
from common.uris import is_remote
from ingest.folders import frame_paths


def source_fingerprint(uri: str) -> str:
    """Changes when the file does (size and time of change), or any picture of a frame folder.

    An address has none: what lies there is taken to stay the same. Empty for what cannot be read.
    """
    if is_remote(uri):
        return "remote"
    path = Path(uri)
    try:
        stats = [file.stat() for file in (frame_paths(path) if path.is_dir() else [path])]
    except OSError:
        return ""
    newest = max((stat.st_mtime_ns for stat in stats), default=0)
    return f"{len(stats)}-{sum(stat.st_size for stat in stats)}-{newest}"


def entry_fingerprint(entry: CatalogEntry) -> str:
    """The source's, and that of what is said about it: bank, title, metadata."""
    told = json.dumps([entry.uri, entry.bank, entry.title, dict(entry.metadata)], sort_keys=True)
    digest = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    return f"{source_fingerprint(entry.uri)}-{digest}"
