"""The embedded mirror in a process of its own: what happens when one of the two dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from common.errors import ModelMismatchError, StorageError
from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror
from searcher.mirror.subprocess_mirror import MirrorProcess
from tests.support.embeddings import MODEL_ID, video


def test_a_dead_process_is_told_once_and_the_next_request_has_another(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    mirror = MirrorProcess(tmp_path / "mirror", MODEL_ID)
    mirror.upsert(video(rng, "a", 5))
    mirror.flush()
    first = mirror.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    with pytest.raises(StorageError, match=r"died \(SIGKILL\)"):
        mirror.flush()
    assert mirror.count() == 5
    assert mirror.pid not in (None, first)
    mirror.close()
    mirror.close()


def test_a_refused_folder_is_refused_as_in_one_process(tmp_path: Path) -> None:
    MirrorProcess(tmp_path / "mirror", MODEL_ID).close()
    with pytest.raises(ModelMismatchError, match="another"):
        MirrorProcess(tmp_path / "mirror", "another-0000")
    # Nobody is left who would hold the folder.
    QdrantEmbeddedMirror(tmp_path / "mirror", MODEL_ID).close()


def test_a_successor_waits_for_the_process_of_a_service_that_was_killed(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    script = """
import os, signal, sys
from pathlib import Path
import numpy as np
from searcher.mirror.subprocess_mirror import MirrorProcess
from tests.support.embeddings import MODEL_ID, video
mirror = MirrorProcess(Path(sys.argv[1]), MODEL_ID)
mirror.upsert(video(np.random.default_rng(1), "a", 5))
os.kill(mirror.pid, signal.SIGSTOP)
print(mirror.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    # The orphan has the same output: what is read is the line, not all of it.
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "mirror")],
        cwd=Path(__file__).parents[4],
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        assert service.stdout is not None
        orphan = int(service.stdout.readline())
        assert service.wait(300) == -signal.SIGKILL
    opened = threading.Event()
    found: list[int] = []

    def succeed() -> None:
        mirror = MirrorProcess(tmp_path / "mirror", MODEL_ID)
        opened.set()
        found.append(mirror.count())
        mirror.close()

    successor = threading.Thread(target=succeed)
    successor.start()
    # Until the orphan goes on it holds the folder, and so does not write beside its successor.
    assert not opened.wait(3)
    os.kill(orphan, signal.SIGCONT)
    successor.join(300)
    assert found == [5]
