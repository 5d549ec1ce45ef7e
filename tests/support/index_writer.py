"""`python -m tests.support.index_writer FOLDER`: changes an index and prints each change once it is done.

It goes on until it is killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from common.settings import SearcherSettings, Settings
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from tests.support.embeddings import MODEL_ID, video

MANIFEST = FolderManifest("test", MODEL_ID)
SETTINGS = Settings(searcher=SearcherSettings(delta_rows=16))


def row(video_id: str, version: int = 1) -> Video:
    return Video(video_id, f"/films/{video_id}", version=version, duration_seconds=40.0)


def main() -> None:
    with LocalIndex.open_writer(Path(sys.argv[1]), MANIFEST, SETTINGS) as index:
        for number in range(1000):
            name = f"v{number % 12}"
            version = index.videos.next_version(name)
            if number % 7 == 6:
                index.delete_videos([name])
                print("deleted", name, version, flush=True)  # noqa: T201
                continue
            points = video(
                np.random.default_rng((int(name[1:]), version)), name, 5, version=version
            )
            index.replace_video(row(name, version), points)
            print("wrote", name, version, flush=True)  # noqa: T201
            if number % 5 == 4:
                index.save_snapshot()


if __name__ == "__main__":
    main()
