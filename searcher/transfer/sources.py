"""Where an export comes from: an open index, or a backup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Protocol

from common.types import Embedding
from common.uris import public_uri
from searcher.backup.embedding_file import read_embeddings
from searcher.backup.manifest import CATALOGUE, check_intact
from searcher.index_transaction import CompleteVideo
from searcher.storage.database import Database
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore
from searcher.video_index import VideoIndex

_VIDEOS_AT_ONCE = 50


class Source(Protocol):
    """incomplete: videos that lack segments, and so are left out; known when all were read."""

    incomplete: list[str]

    @property
    def profile(self) -> str:
        """The profile of the vectors."""
        ...

    @property
    def model_id(self) -> str:
        """The model of the vectors."""
        ...

    def videos(self) -> Iterator[CompleteVideo]:
        """Every searchable version of a video with all its segments."""
        ...


@dataclass
class IndexSource:
    """An open index, of any backend."""

    index: VideoIndex
    incomplete: list[str] = field(default_factory=list)

    @property
    def profile(self) -> str:
        """The profile of the folder."""
        return self.index.manifest.profile

    @property
    def model_id(self) -> str:
        """The model of the vectors."""
        return self.index.manifest.model_id

    def videos(self) -> Iterator[CompleteVideo]:
        rows = (row for row in self.index.videos.all() if row.version)
        while some := list(islice(rows, _VIDEOS_AT_ONCE)):
            yield from self._read(some)

    def _read(self, rows: Sequence[Video]) -> Iterator[CompleteVideo]:
        found = self.index.embeddings_of(rows)
        for row in rows:
            whole = _whole(row, found[row.video_id])
            if whole is None:
                # It may just have been replaced by a newer version.
                now = self.index.videos.get(row.video_id)
                if now is None or not now.version:
                    continue
                whole = _whole(now, self.index.embeddings_of([now])[row.video_id])
            if whole is None:
                self.incomplete.append(row.video_id)
            else:
                yield whole


@dataclass
class BackupSource:
    """A backup (`searcher.backup`). count: number of its videos. files: those of its embeddings."""

    folder: Path
    profile: str
    model_id: str
    count: int
    files: list[Path]
    incomplete: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path) -> BackupSource:
        """Verify a backup. Raises CorruptIndexError, UsageError."""
        manifest = check_intact(folder)
        files = manifest.embeddings_in(folder)
        return cls(folder, manifest.profile, manifest.model_id, manifest.videos, files)

    def videos(self) -> Iterator[CompleteVideo]:
        with closing(Database(self.folder / CATALOGUE, read_only=True)) as database:
            rows = {row.video_id: row for row in VideoStore(database).all() if row.version}
        # A video of several files is complete in the last one of them.
        for path in reversed(self.files):
            for row, found in _by_video(path, rows):
                whole = _whole(row, found)
                if whole is not None:
                    del rows[row.video_id]
                    yield whole
        self.incomplete += list(rows)


def _by_video(path: Path, rows: dict[str, Video]) -> Iterator[tuple[Video, list[Embedding]]]:
    """The segments of each video in one file of a backup, where they lie one after another."""
    for video_id, found in groupby(read_embeddings(path), lambda one: one.ref.video_id):
        row = rows.get(video_id)
        if row is not None:
            yield row, [one for one in found if one.ref.version == row.version]


def _whole(row: Video, found: Sequence[Embedding]) -> CompleteVideo | None:
    """A video with all its segments in time order; None if some are missing. What only fetching its
    source needs is left out, and the error of a newer version that failed."""
    if not found or len(found) != row.segments:
        return None
    shown = replace(row, uri=public_uri(row.uri), state="ready")
    if row.state == "failed":
        shown = replace(shown, error_code="", error_message="")
    return CompleteVideo(shown, sorted(found, key=lambda one: one.ref))
