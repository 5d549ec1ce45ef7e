"""Datasets: a folder or DAVIS, which videos are copies of each other, folds and halves."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from common.types import check_name
from ingest.catalogue import read_catalog

_REQUIRED_COLUMNS = ("file", "posgroup")
_UNUSUAL = "odd"
_LOOKALIKES = "lookalikes"
_DAVIS_SIZES = ("480p", "Full-Resolution")


@dataclass(frozen=True, slots=True)
class DatasetVideo:
    """One video to make queries from.

    video_id: the id it gets when its folder is indexed. family: name of the group of the video and its
    true copies by other people. lookalike_group: name of a group of similar videos that are no copies;
    empty if none is known.
    """

    video_id: str
    uri: str
    family: str
    lookalike_group: str = ""

    def __post_init__(self) -> None:
        for name in ("video_id", "uri", "family"):
            check_name(name, getattr(self, name))


def read_dataset(folder: Path, families: Path | None = None) -> tuple[DatasetVideo, ...]:
    """Every video of a folder, sorted by name.

    families: a CSV file with the columns `file` (relative to the CSV file or to the folder) and
    `posgroup` (videos with one value are copies of one another), and optionally `hardneg` (videos with
    one value look alike) and `kind` (`odd` excludes the video). A video that is not listed is a family
    of its own.

    Raises UsageError for a folder without videos and for a CSV file that is unreadable, lacks a column,
    lists a video twice or lists no video of the folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder of videos")
    entries = [listed.entry for listed in read_catalog([str(folder)])]
    rows = {} if families is None else _read_families(families, folder)
    if rows and not any(_key(entry.uri) in rows for entry in entries):
        raise UsageError(
            f"{families}: names no video of {folder}; its `file` column is relative to the CSV file "
            "or to the folder"
        )
    videos = []
    for entry in entries:
        row = rows.get(_key(entry.uri), {})
        if row.get("kind") == _UNUSUAL:
            continue
        videos.append(
            DatasetVideo(
                entry.video_id,
                entry.uri,
                row.get("posgroup") or entry.video_id,
                row.get("hardneg") or "",
            )
        )
    if not videos:
        raise UsageError(f"{families}: every video of {folder} has the kind {_UNUSUAL!r}")
    return tuple(videos)


def read_lookalikes(folder: Path) -> tuple[DatasetVideo, ...]:
    """Every video of a folder of look-alikes: none is a copy of another, and all look like one another.
    Their ids begin with `lookalikes/`. Raises UsageError for a folder with fewer than two videos."""
    videos = read_dataset(folder)
    if len(videos) < 2:
        raise UsageError(f"{folder}: expected at least two videos that look alike, got one")
    return tuple(
        DatasetVideo(name, video.uri, name, _LOOKALIKES)
        for video in videos
        for name in (f"{_LOOKALIKES}/{video.video_id}",)
    )


def read_davis(root: Path, split: str | None = None) -> tuple[DatasetVideo, ...]:
    """The sequences of DAVIS 2017 as published, each a family of its own.

    root: the folder that holds `JPEGImages`, or its parent. 480p is preferred to Full-Resolution. split:
    a file of `ImageSets/2017` without its suffix, such as `train` or `val`. Raises UsageError if a
    folder, the split or one of its sequences is missing.
    """
    home, pictures = _davis_pictures(root)
    videos = read_dataset(pictures)
    if split is None:
        return videos
    path = home / "ImageSets" / "2017" / f"{split}.txt"
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        splits = ", ".join(sorted(other.stem for other in path.parent.glob("*.txt"))) or "none"
        raise UsageError(f"{path}: no such split; there are: {splits}") from None
    by_id = {video.video_id: video for video in videos}
    missing = [name for name in names if name not in by_id]
    if missing or not names:
        problem = f"not in {pictures}: {', '.join(missing[:5])}" if names else "names no sequence"
        raise UsageError(f"{path}: {problem}")
    return tuple(by_id[name] for name in dict.fromkeys(names))


def folds(videos: Sequence[DatasetVideo], count: int = 5) -> Mapping[str, int]:
    """The fold of every video, 0 to count - 1. Families stay together, sizes are balanced, and the
    result is the same in every run."""
    if count < 1:
        raise UsageError(f"folds: expected at least one, got {count}")
    return _divide(videos, count, salt="fold")


def halves(videos: Sequence[DatasetVideo]) -> Mapping[str, int]:
    """The half of every video, 0 or 1, independent of its fold; otherwise like `folds`."""
    return _divide(videos, 2, salt="half")


def _divide(videos: Iterable[DatasetVideo], count: int, *, salt: str) -> dict[str, int]:
    """Assign the largest families first, each to the smallest part so far; a digest breaks ties."""
    listed = list(videos)
    sizes = Counter(video.family for video in listed)
    filled = [0] * count
    part: dict[str, int] = {}
    for family in sorted(sizes, key=lambda name: (-sizes[name], _digest(f"{salt}:{name}"), name)):
        smallest = min(range(count), key=lambda index: filled[index])
        part[family] = smallest
        filled[smallest] += sizes[family]
    return {video.video_id: part[video.family] for video in listed}


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _read_families(path: Path, folder: Path) -> dict[str, Mapping[str, str]]:
    """Rows by the absolute path of their file; each row has two paths, relative to either folder."""
    rows: dict[str, Mapping[str, str]] = {}
    names: set[str] = set()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in _REQUIRED_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UsageError(
                    f"{path}: expected the columns {', '.join(_REQUIRED_COLUMNS)}, "
                    f"lacks {', '.join(missing)}"
                )
            for row in reader:
                name = row["file"].strip()
                if not name or name in names:
                    problem = f"lists {name} twice" if name else "names no file"
                    raise UsageError(f"{path}, line {reader.line_num}: {problem}")
                names.add(name)
                fields = {
                    key: value.strip() for key, value in row.items() if isinstance(value, str)
                }
                for base in (folder, path.parent):
                    rows[_key(base / name)] = fields
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a readable CSV file ({error})") from None
    if not rows:
        raise UsageError(f"{path}: a header and no rows")
    return rows


def _key(path: Path | str) -> str:
    return os.path.normpath(os.path.abspath(path))


def _davis_pictures(root: Path) -> tuple[Path, Path]:
    """The folder of DAVIS, and the folder of its sequences."""
    for home in (root, root / "DAVIS"):
        for size in _DAVIS_SIZES:
            pictures = home / "JPEGImages" / size
            if pictures.is_dir():
                return home, pictures
    raise UsageError(
        f"{root}: expected DAVIS 2017 as published, with JPEGImages/480p or "
        "JPEGImages/Full-Resolution in it"
    )
