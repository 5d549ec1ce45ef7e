"""Qdrant's embedded engine on a disk that cannot be written: it is never asked to, as it would end the
process or tell of damage where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import StorageError
from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror
from tests.support.embeddings import MODEL_ID, video

Stopped = Callable[[], AbstractContextManager[None]]


@contextmanager
def full() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
        yield


@contextmanager
def read_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        yield


@pytest.fixture(params=[full, read_only])
def stopped(request: pytest.FixtureRequest) -> Stopped:
    """What a disk is while a block runs."""
    made: Stopped = request.param
    return made


@pytest.fixture
def filled(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A mirror of one video."""
    mirror = QdrantEmbeddedMirror(tmp_path / "mirror", MODEL_ID)
    mirror.upsert(video(rng, "a", 3))
    mirror.flush()
    mirror.close()
    return tmp_path / "mirror"


def test_a_mirror_is_opened_once_its_disk_can_be_written(filled: Path, stopped: Stopped) -> None:
    with stopped(), pytest.raises(StorageError, match=r"mirror: .*run the same command again"):
        QdrantEmbeddedMirror(filled, MODEL_ID)
    mirror = QdrantEmbeddedMirror(filled, MODEL_ID)
    assert mirror.count() == 3
    mirror.close()


def test_a_write_is_refused_until_the_disk_can_be_written(
    filled: Path, rng: np.random.Generator, stopped: Stopped
) -> None:
    mirror = QdrantEmbeddedMirror(filled, MODEL_ID)
    more = video(rng, "b", 2)
    with stopped(), pytest.raises(StorageError, match=r"mirror: .*run the same command again"):
        mirror.upsert(more)
    mirror.upsert(more)
    assert mirror.count() == 5
    mirror.close()
