"""Videos that are indexed and whose files are gone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from common.uris import is_remote
from searcher.storage.video_store import Video, VideoStore


def gone_videos(video_ids: Iterable[str], videos: VideoStore) -> list[str]:
    """Those whose file is certainly gone: the folder or manifest they were found in is there, and the
    system says that the file is not. An address is never gone; a file that cannot be looked at is not."""
    rows = (videos.get(video_id) for video_id in video_ids)
    return [row.video_id for row in rows if row is not None and _is_gone(row)]


def _is_gone(row: Video) -> bool:
    if is_remote(row.uri):
        return False
    path, root = Path(row.uri), Path(row.root)
    # A manifest may name files of a disk that is not mounted now.
    above = root if root.is_dir() else path.parent
    return root.exists() and above.is_dir() and _is_missing(path)


def _is_missing(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
