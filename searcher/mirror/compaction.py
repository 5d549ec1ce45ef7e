"""Rewrites the embedded mirror, because the engine keeps the bytes of deleted points in its files.

The new mirror is made in a folder beside the old one, which then is deleted. After a crash the next
opening takes the one that is complete: while the old one has its name the new one may lack points, and
afterwards it has all.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from common.atomic_write import sync
from common.errors import StorageError, UsageError
from searcher.mirror.base import Mirror
from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror
from searcher.mirror.subprocess_mirror import MirrorProcess
from searcher.storage.video import Video

_NAME, _NEW, _OLD = "mirror", "mirror.new", "mirror.old"


def compacted(folder: Path, mirror: Mirror, rows: Mapping[str, Video]) -> Mirror:
    """Rewrite the mirror of a data folder and open it again; nobody else may use it. rows: the catalogue,
    whose rows the mirror keeps. Raises UsageError for a mirror that is not embedded, StorageError; then
    the old one is as it was."""
    if not isinstance(mirror, (QdrantEmbeddedMirror, MirrorProcess)):
        raise UsageError(
            "only the embedded mirror can be rewritten; a Qdrant server removes deleted bytes itself "
            "when it optimises its segments"
        )
    kind, model_id = type(mirror), mirror.model_id
    try:
        shutil.rmtree(folder / _NEW, ignore_errors=True)
        new = kind(folder / _NEW, model_id)
        try:
            for batch in mirror.scan():
                new.upsert(batch, rows)
            new.flush()
            if new.count() != mirror.count():
                raise StorageError(
                    f"{folder}: the new mirror has {new.count()} points, not {mirror.count()}; the old "
                    "one is kept; run the same command again"
                )
        finally:
            new.close()
    except BaseException:
        shutil.rmtree(folder / _NEW, ignore_errors=True)
        raise
    mirror.close()
    _swap(folder)
    return kind(folder / _NAME, model_id)


def finish_compaction(folder: Path) -> None:
    """Take the mirror that is complete, after a crash. Raises OSError."""
    if not (folder / _NAME).exists() and (folder / _NEW).exists():
        (folder / _NEW).rename(folder / _NAME)
        sync(folder)
    for left in (_NEW, _OLD):
        shutil.rmtree(folder / left, ignore_errors=True)


def _swap(folder: Path) -> None:
    shutil.rmtree(folder / _OLD, ignore_errors=True)
    for path in (folder / _NEW).rglob("*"):
        sync(path)
    (folder / _NAME).rename(folder / _OLD)
    sync(folder)
    (folder / _NEW).rename(folder / _NAME)
    sync(folder)
    shutil.rmtree(folder / _OLD)
