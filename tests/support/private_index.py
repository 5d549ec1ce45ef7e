"""`python -m tests.support.private_index FOLDER MIRROR`: writes a data folder under an ordinary umask.

Prints mode, whether it is a folder, and path of all that lies in it while the index is open.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from common.settings import SearcherSettings, Settings
from ingest.ledger import ProducerLedger
from searcher.generations import make_current, make_folder
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from tests.support.embeddings import MODEL_ID, video


def main() -> None:
    os.umask(0o022)
    folder, mirror = Path(sys.argv[1]), sys.argv[2]
    settings = Settings(searcher=SearcherSettings.model_validate({"mirror": mirror}))
    manifest = FolderManifest("test", MODEL_ID, mirror)
    ProducerLedger(folder, lambda: 1).close()
    with LocalIndex.open_writer(folder, manifest, settings, answering=True) as index:
        parts = video(np.random.default_rng(1), "a", 40)
        index.replace_video(Video("a", "/a", version=1), parts)
        index.save_snapshot()
        make_folder(folder, "clip")
        make_current(folder, "")
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink():
                sys.stdout.write(f"{path.stat().st_mode & 0o777:o} {path.is_dir()} {path}\n")


if __name__ == "__main__":
    main()
