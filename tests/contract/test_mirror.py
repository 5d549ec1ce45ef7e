"""What every mirror promises, checked on each of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from common.errors import DependencyError, ModelMismatchError
from common.settings import QdrantSettings
from common.types import Embedding, SegmentRef
from searcher.mirror.base import Mirror
from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror
from searcher.mirror.subprocess_mirror import MirrorProcess
from searcher.storage.video import Video
from tests.support.embeddings import MODEL_ID, embedding, unit_rows, video

Open = Callable[[str], Mirror]


@pytest.fixture(params=["edge", "process", "local", "server", "cluster"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store with a model id, again and again; only one at a time."""
    if request.param == "edge":
        yield lambda model_id: QdrantEmbeddedMirror(tmp_path / "mirror", model_id)
    elif request.param == "process":
        yield lambda model_id: MirrorProcess(tmp_path / "mirror", model_id)
    elif request.param == "local":
        from searcher.mirror.qdrant_client import QdrantClientMirror

        yield lambda model_id: QdrantClientMirror.local(tmp_path / "mirror", model_id)
    else:
        from qdrant_client import QdrantClient

        from searcher.mirror.qdrant_client import QdrantClientMirror

        fixture = {"server": "qdrant_url", "cluster": "qdrant_cluster_urls"}[request.param]
        url = request.getfixturevalue(fixture)
        settings = QdrantSettings(url=url, collection=f"storyhash-test-{uuid.uuid4().hex}")
        yield lambda model_id: QdrantClientMirror.server(settings, model_id)
        client = QdrantClient(url=settings.urls[0])
        client.delete_collection(settings.collection)
        client.close()


@pytest.fixture
def mirror(reopen: Open) -> Iterator[Mirror]:
    opened = reopen(MODEL_ID)
    yield opened
    opened.close()


def everything(mirror: Mirror, *video_ids: str) -> dict[str, Embedding]:
    pages = mirror.scan(video_ids or None, 7)
    return {one.ref.segment_id: one for batch in pages for one in batch}


def test_what_is_written_is_read_back_bit_for_bit(mirror: Mirror, rng: np.random.Generator) -> None:
    written = [*video(rng, "a", 9), embedding("a", 9, None), *video(rng, "ü/b c", 3, bank="news")]
    mirror.upsert(written)
    mirror.flush()
    held = everything(mirror)
    assert mirror.count() == len(written) == len(held)
    for one in written:
        same = held[one.ref.segment_id]
        assert same.ref == one.ref
        assert same.informative == one.informative
        assert same.model_id == one.model_id
        np.testing.assert_array_equal(same.vector, one.vector)
        np.testing.assert_array_equal(same.graph, one.graph)
        np.testing.assert_array_equal(same.frames, one.frames)


def test_times_and_rows_are_read_back_to_the_last_bit(
    mirror: Mirror, rng: np.random.Generator
) -> None:
    written, rows = [], {}
    for number in range(200):
        start = float(rng.uniform(0, 20_000))
        ref = SegmentRef(f"v{number}", start, start + float(rng.uniform(0.1, 6)))
        written.append(
            Embedding(ref, unit_rows(rng, 1)[0], np.zeros(8, np.float32), True, MODEL_ID)
        )
        rows[ref.video_id] = Video(
            ref.video_id,
            "/x",
            version=1,
            duration_seconds=ref.end_seconds,
            segments=1,
            metadata={"rate": float(rng.uniform(0, 1)), "ü": [None, {"deep": 0.1}]},
        )
    mirror.upsert(written, rows)
    assert {one.ref for one in everything(mirror).values()} == {one.ref for one in written}
    found = {row["video_id"]: Video(**row) for row, _ in mirror.videos()}
    assert found == rows


def test_writing_twice_changes_nothing(mirror: Mirror, rng: np.random.Generator) -> None:
    written = video(rng, "a", 5)
    mirror.upsert(written)
    mirror.upsert(written[::-1])
    assert mirror.count() == 5


def test_a_later_version_takes_the_place_of_the_same_stretch(
    mirror: Mirror, rng: np.random.Generator
) -> None:
    mirror.upsert(video(rng, "a", 5))
    newer = video(rng, "a", 3, version=2)
    mirror.upsert(newer)
    mirror.delete_video("a", keep_version=2)
    held = everything(mirror)
    assert sorted(held) == [one.ref.segment_id for one in newer]
    assert {one.ref.version for one in held.values()} == {2}


def test_deleting_a_video_leaves_the_others(mirror: Mirror, rng: np.random.Generator) -> None:
    mirror.upsert([*video(rng, "a", 4), *video(rng, "aa", 4), *video(rng, "b", 4)])
    mirror.delete_video("a")
    mirror.delete_video("never there")
    assert {one.ref.video_id for one in everything(mirror).values()} == {"aa", "b"}
    assert everything(mirror, "a") == {}


def test_scanning_one_video_gives_that_video(mirror: Mirror, rng: np.random.Generator) -> None:
    mirror.upsert([*video(rng, "a", 20), *video(rng, "b", 20)])
    assert {one.ref.video_id for one in everything(mirror, "b").values()} == {"b"}
    assert len(everything(mirror, "b")) == 20


def test_an_empty_mirror_answers(mirror: Mirror) -> None:
    assert mirror.count() == 0
    assert everything(mirror) == {}
    mirror.upsert([])
    mirror.flush()


def test_it_is_there_when_opened_again(reopen: Open, rng: np.random.Generator) -> None:
    written = video(rng, "a", 6)
    first = reopen(MODEL_ID)
    first.upsert(written)
    first.flush()
    first.close()
    again = reopen(MODEL_ID)
    assert sorted(everything(again)) == sorted(one.ref.segment_id for one in written)
    again.close()


def test_another_models_vectors_are_refused(reopen: Open, rng: np.random.Generator) -> None:
    first = reopen(MODEL_ID)
    first.upsert(video(rng, "a", 1))
    first.flush()
    first.close()
    with pytest.raises(ModelMismatchError, match=MODEL_ID):
        reopen("another-model")


def test_a_server_that_is_not_there_is_named() -> None:
    from searcher.mirror.qdrant_client import QdrantClientMirror

    settings = QdrantSettings(url="http://127.0.0.1:1", timeout_seconds=1)
    with pytest.raises(DependencyError, match="does not respond"):
        QdrantClientMirror.server(settings, MODEL_ID)
