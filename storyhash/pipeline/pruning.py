"""Finds indexed videos whose files are gone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from common.uris import is_remote
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore


@dataclass(slots=True)
class GoneVideos:
    """Ids of videos whose files are gone. gone: from folders that still have other files. in_folders: by
    folder, for folders that are missing or empty, for example because a disk is not mounted."""

    gone: list[str] = field(default_factory=list)
    in_folders: dict[str, list[str]] = field(default_factory=dict)


def gone_videos(
    video_ids: Iterable[str], videos: VideoStore, *, folders: bool = False
) -> GoneVideos:
    """The videos whose file is certainly gone: the folder or manifest in which it was found exists, and
    the system reports that the file does not. A remote video and a file that cannot be checked are never
    gone. folders: treat a missing or empty folder as deleted, not as unmounted."""
    gone = GoneVideos()
    for row in map(videos.get, video_ids):
        if row is None or not _is_gone(row):
            continue
        folder = None if folders else _vanished_folder(row)
        if folder is None:
            gone.gone.append(row.video_id)
        else:
            gone.in_folders.setdefault(str(folder), []).append(row.video_id)
    return gone


def _is_gone(row: Video) -> bool:
    return not is_remote(row.uri) and os.path.exists(row.root) and _is_missing(Path(row.uri))


def _vanished_folder(row: Video) -> Path | None:
    """The highest folder above a file that is missing or has only hidden files, below the folder that was
    given; None if there is none."""
    highest = None
    for folder in Path(row.uri).parents:
        if folder == Path(row.root) or not _is_vanished(folder):
            break
        highest = folder
    return highest


def _is_vanished(folder: Path) -> bool:
    try:
        return all(name.startswith(".") for name in os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _is_missing(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
