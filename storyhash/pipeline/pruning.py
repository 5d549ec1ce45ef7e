"""Videos that are indexed and whose files are gone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from common.uris import is_remote
from searcher.storage.video_store import Video, VideoStore


@dataclass(slots=True)
class GoneVideos:
    """Ids of videos whose files are gone. `gone`: out of a folder that still has others. `in_folders`:
    by folder, which is missing or empty now, as that of a disk is that is not mounted."""

    gone: list[str] = field(default_factory=list)
    in_folders: dict[str, list[str]] = field(default_factory=dict)


def gone_videos(
    video_ids: Iterable[str], videos: VideoStore, *, folders: bool = False
) -> GoneVideos:
    """Those whose file is certainly gone: the folder or manifest they were found in is there, and the
    system says that the file is not. An address is never gone; a file that cannot be looked at is not.
    folders: a folder that is missing or empty is taken as gone for good."""
    found = GoneVideos()
    for row in map(videos.get, video_ids):
        if row is None or not _is_gone(row):
            continue
        folder = None if folders else _vanished_folder(row)
        if folder is None:
            found.gone.append(row.video_id)
        else:
            found.in_folders.setdefault(str(folder), []).append(row.video_id)
    return found


def _is_gone(row: Video) -> bool:
    return not is_remote(row.uri) and os.path.exists(row.root) and _is_missing(Path(row.uri))


def _vanished_folder(row: Video) -> Path | None:
    """The highest folder above a file that is missing or has nothing in it but hidden files; in a folder
    that was given itself, below that one."""
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
