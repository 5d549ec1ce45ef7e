"""What every index promises, checked on FAISS in this process and on Qdrant: the client's local mode, a
real server, one in strict mode, a real cluster."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from common.errors import ModelMismatchError
from common.settings import QdrantSettings, SearcherSettings, Settings
from common.types import Embedding, Float32Array
from searcher.index.state import Filter
from searcher.index_transaction import Change, CompleteVideo
from searcher.local_index import LocalIndex
from searcher.qdrant.index import QdrantIndex
from searcher.qdrant.nodes import Nodes
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from searcher.video_index import VideoIndex
from tests.support.embeddings import MODEL_ID, embedding, near, unit_rows, video

Open = Callable[..., VideoIndex]
_SCORE = 1e-5


# The strictest that docs/operations/qdrant.md allows.
STRICT = models.StrictModeConfig(
    enabled=True,
    max_query_limit=1280,
    max_timeout=10,
    unindexed_filtering_retrieve=False,
    unindexed_filtering_update=False,
    upsert_max_batchsize=500,
    search_max_batchsize=32,
)


@pytest.fixture(params=["faiss", "local", "server", "strict", "cluster"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the index of one catalogue; `folder` is the data folder; each machine has its own."""
    if request.param == "faiss":

        def opened_here(folder: str = "data", model_id: str = MODEL_ID) -> VideoIndex:
            manifest = FolderManifest("test", model_id)
            return LocalIndex.open_writer(tmp_path / folder, manifest, Settings())

        yield opened_here
        return
    if request.param == "local":
        client = QdrantClient(path=str(tmp_path / "qdrant"))
        # Local mode cannot write from several threads.
        nodes, settings = Nodes.of(client, "here"), QdrantSettings(requests_in_flight=1)
    else:
        fixture = "qdrant_cluster_urls" if request.param == "cluster" else "qdrant_url"
        name = f"storyhash-test-{uuid.uuid4().hex}"
        settings = QdrantSettings(url=request.getfixturevalue(fixture), collection=name)
        nodes = Nodes.connect(settings)
    shared = Unclosed(nodes)

    def opened(folder: str = "data", model_id: str = MODEL_ID) -> VideoIndex:
        whole = Settings(qdrant=settings, searcher=SearcherSettings(backend="qdrant"))
        manifest = FolderManifest("test", model_id, "qdrant")
        index = QdrantIndex.open_writer(tmp_path / folder, manifest, whole, nodes=shared)
        if request.param == "strict":
            of_each(QdrantClient.update_collection, strict_mode_config=STRICT)
        return index

    def of_each(call: Callable[..., object], **options: object) -> None:
        for kind in ("segments", "videos"):
            name = f"{settings.collection}-{kind}"
            nodes.ask(partial(call, collection_name=name, **options))

    yield opened
    of_each(QdrantClient.delete_collection)
    nodes.close()


class Unclosed(Nodes):
    """Nodes that stay open when one of their indexes is closed."""

    def __init__(self, nodes: Nodes) -> None:
        self.__dict__ = nodes.__dict__

    def close(self) -> None:
        """The fixture closes them."""


@pytest.fixture
def index(reopen: Open) -> Iterator[VideoIndex]:
    with reopen() as opened:
        yield opened


def put(index: VideoIndex, embeddings: list[Embedding]) -> None:
    """Index a video, or a new version of it."""
    ref = embeddings[0].ref
    row = Video(ref.video_id, f"/{ref.video_id}", bank=ref.bank, version=ref.version)
    index.replace_video(row, embeddings)


def found(index: VideoIndex, vector: Float32Array, k: int = 10, **only: object) -> list[str]:
    (hits,) = index.search(vector[None], k, Filter(**only))  # type: ignore[arg-type]
    return [hit.ref.segment_id for hit in hits]


def test_the_nearest_segments_come_best_first(index: VideoIndex, rng: np.random.Generator) -> None:
    videos = [video(rng, name, 12) for name in ("a", "b", "ü/c d")]
    for one in videos:
        put(index, one)
    everything = [segment for one in videos for segment in one]
    queries = np.stack([near(rng, everything[at].vector, 0.05) for at in range(0, 36, 5)])
    table = queries @ np.stack([one.vector for one in everything]).T
    for hits, scores in zip(index.search(queries, 10), table, strict=True):
        best = np.argsort(-scores)[:10]
        assert [hit.ref for hit in hits] == [everything[at].ref for at in best]
        np.testing.assert_allclose([hit.score for hit in hits], scores[best], atol=_SCORE)


def test_more_queries_than_one_request_holds_are_answered_in_order(
    index: VideoIndex, rng: np.random.Generator
) -> None:
    segments = video(rng, "a", 75)
    put(index, segments)
    answers = index.search(np.stack([one.vector for one in segments]), 1)
    assert [hits[0].ref for hits in answers] == [one.ref for one in segments]
    assert index.search(np.zeros((0, 527), np.float32), 5) == []


def test_filters_act_inside_the_search(index: VideoIndex, rng: np.random.Generator) -> None:
    vectors = unit_rows(rng, 1)
    for number in range(12):
        bank = "news" if number % 4 == 0 else "default"
        vector = near(rng, vectors[0], 0.01)
        put(index, [embedding(f"v{number}", 0, vector, bank=bank)])
    query = vectors[0]
    assert len(found(index, query, 12)) == 12
    news = {f"v{number}@0-4000" for number in (0, 4, 8)}
    assert set(found(index, query, 12, banks=frozenset({"news"}))) == news
    left = found(index, query, 12, exclude_videos=frozenset({"v0", "v1"}))
    assert len(left) == 10
    assert not {"v0@0-4000", "v1@0-4000"} & set(left)
    only_four = {"banks": frozenset({"news"}), "exclude_videos": frozenset({"v0"})}
    assert set(found(index, query, 12, **only_four)) == news - {"v0@0-4000"}
    others = found(index, query, 12, exclude_banks=frozenset({"news", "nobody's"}))
    assert (len(others), news & set(others)) == (9, set())
    both = {"banks": frozenset({"news"}), "exclude_banks": frozenset({"news"})}
    assert found(index, query, 5, **both) == []
    assert found(index, query, 5, banks=frozenset()) == []
    assert found(index, query, 5, banks=frozenset({"nobody's"})) == []


def test_many_hits_are_found(index: VideoIndex, rng: np.random.Generator) -> None:
    segments = video(rng, "a", 1300)
    put(index, segments)
    names = found(index, segments[7].vector, 1280)
    assert (len(names), len(set(names)), names[0]) == (1280, 1280, segments[7].ref.segment_id)


def test_low_information_segments_are_kept_and_never_found(
    index: VideoIndex, rng: np.random.Generator
) -> None:
    segments = [*video(rng, "a", 3), embedding("a", 3, None)]
    put(index, segments)
    assert len(found(index, segments[0].vector)) == 3
    assert len(index.vectors_of("a").refs) == 3
    assert {ref.segment_id for ref in index.segments_of("a")} == {
        one.ref.segment_id for one in segments
    }


def test_a_videos_segments_come_in_time_order_with_vectors_and_frame_codes(
    index: VideoIndex, rng: np.random.Generator
) -> None:
    segments = video(rng, "a", 30)
    put(index, [segments[at] for at in rng.permutation(30)])
    put(index, video(rng, "b", 3))
    refs, vectors, frames = index.vectors_of("a")
    assert refs == [one.ref for one in segments]
    np.testing.assert_array_equal(vectors, np.stack([one.vector for one in segments]))
    for got, one in zip(frames, segments, strict=True):
        np.testing.assert_array_equal(got, one.frames)
    assert index.vectors_of("nobody").vectors.shape == (0, 527)


def test_a_new_version_takes_the_place_of_the_old_one(
    index: VideoIndex, rng: np.random.Generator
) -> None:
    put(index, video(rng, "other", 5))
    old = video(rng, "a", 20)
    put(index, old)
    new = video(rng, "a", 4, version=2)
    put(index, new)
    assert [ref.version for ref in index.vectors_of("a").refs] == [2] * 4
    (hits,) = index.search(old[19].vector[None], 100)
    assert sorted(hit.ref.video_id for hit in hits) == ["a"] * 4 + ["other"] * 5
    assert {hit.ref.version for hit in hits if hit.ref.video_id == "a"} == {2}
    assert len(index.segments_of("a")) == 4


def test_a_deleted_video_is_gone_and_may_come_again(
    index: VideoIndex, rng: np.random.Generator
) -> None:
    first = video(rng, "a", 5)
    put(index, first)
    put(index, video(rng, "aa", 5))
    assert index.delete_videos(["a"])
    assert not index.delete_videos(["a"])
    assert {name.split("@")[0] for name in found(index, first[0].vector, 20)} == {"aa"}
    assert index.vectors_of("a").refs == []
    version = index.videos.next_version("a")
    assert version == 2
    put(index, video(rng, "a", 2, version=version))
    assert len(index.vectors_of("a").refs) == 2


def test_a_segment_that_comes_late_joins_its_version(
    index: VideoIndex, rng: np.random.Generator
) -> None:
    segments = video(rng, "a", 4)
    put(index, segments[:3])
    row = index.videos.get("a")
    assert row is not None
    late = Video("a", "/a", version=1, segments=4, state="ready")
    index.apply(Change(late=[CompleteVideo(late, segments[3:])]))
    assert [ref.segment_id for ref in index.vectors_of("a").refs] == [
        one.ref.segment_id for one in segments
    ]
    assert found(index, segments[3].vector, 1) == [segments[3].ref.segment_id]


def test_it_is_there_when_opened_again(reopen: Open, rng: np.random.Generator) -> None:
    segments = video(rng, "a", 6)
    with reopen() as first:
        put(first, segments)
        put(first, video(rng, "b", 2))
        first.delete_videos(["b"])
    with reopen() as again:
        assert found(again, segments[2].vector, 1) == [segments[2].ref.segment_id]
        assert again.videos.versions() == {"a": 1} == again.shard_versions()
        assert again.videos.next_version("b") == 2


def test_another_models_vectors_are_refused(reopen: Open, rng: np.random.Generator) -> None:
    with reopen() as first:
        put(first, video(rng, "a", 1))
    with pytest.raises(ModelMismatchError, match=MODEL_ID):
        reopen(model_id="another-model")
