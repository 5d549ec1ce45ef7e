"""The index over Qdrant: versions, crashes, several processes. Local mode stands for a server."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException

from common.errors import DataFolderError, DependencyError, ModelMismatchError
from common.settings import QdrantSettings, SearcherSettings, Settings
from common.types import Embedding
from searcher.index.state import Filter
from searcher.index_transaction import Change
from searcher.qdrant import register as register_module
from searcher.qdrant.index import QdrantIndex
from searcher.qdrant.nodes import Nodes
from searcher.qdrant.points import SEGMENT_INDEXES
from searcher.qdrant.register import Register, live_filter
from searcher.qdrant.store import QdrantStore
from searcher.storage.data_dir import FolderManifest
from searcher.storage.selection import Selection
from searcher.storage.video import Video
from tests.support.embeddings import MODEL_ID, embedding, near, unit_rows, video

MANIFEST = FolderManifest("test", MODEL_ID, "qdrant")
SETTINGS = Settings(searcher=SearcherSettings(backend="qdrant"))


class Shared(Nodes):
    """One client for several processes of a test."""

    def close(self) -> None:
        """The fixture closes it."""


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    client = QdrantClient(":memory:")
    yield Shared(Nodes.of(client, "here").nodes)
    client.close()


def writer(nodes: Nodes, folder: Path) -> QdrantIndex:
    return QdrantIndex.open_writer(folder, MANIFEST, SETTINGS, nodes=nodes)


def reader(nodes: Nodes, folder: Path) -> QdrantIndex:
    return QdrantIndex.open_reader(folder, MANIFEST, SETTINGS, nodes=nodes)


def store_over(nodes: Nodes) -> QdrantStore:
    return QdrantStore(nodes, QdrantSettings(), SearcherSettings(), MODEL_ID)


def row(embeddings: list[Embedding]) -> Video:
    ref = embeddings[0].ref
    return Video(
        ref.video_id,
        f"/{ref.video_id}",
        bank=ref.bank,
        version=ref.version,
        segments=len(embeddings),
        uninformative_segments=sum(not one.informative for one in embeddings),
        state="ready",
    )


def put(index: QdrantIndex, embeddings: list[Embedding]) -> None:
    index.replace_video(row(embeddings), embeddings)


def versions_found(store: QdrantStore, query: Embedding, k: int = 50) -> list[int]:
    (hits,) = store.search(query.vector[None], k)
    return [hit.ref.version for hit in hits if hit.ref.video_id == query.ref.video_id]


def test_a_version_is_invisible_until_all_of_it_is_and_then_the_only_one(
    nodes: Nodes, rng: np.random.Generator
) -> None:
    store = store_over(nodes)
    old = video(rng, "a", 6)
    store.upsert(old)
    assert versions_found(store, old[0]) == []
    store.show([row(old)])
    new = [embedding("a", at, near(rng, one.vector), version=2) for at, one in enumerate(old[:4])]
    for one in new:
        assert versions_found(store, old[0]) == [1] * 6
        store.upsert([one])
    assert versions_found(store, old[0]) == [1] * 6
    # The register alone decides: the points of both versions are there.
    store.register.write([row(new)])
    assert store.count() == 10
    assert versions_found(store, old[0]) == [2] * 4
    store.show([row(new)])
    assert store.count() == 4


def test_other_versions_take_no_place_among_the_nearest(
    nodes: Nodes, rng: np.random.Generator
) -> None:
    store = store_over(nodes)
    base = unit_rows(rng, 1)[0]
    for name in "abcdef":
        one = [embedding(name, 0, near(rng, base, 0.002))]
        store.upsert(one)
        store.show([row(one)])
    # Twenty nearer segments of a version that is not complete yet.
    store.upsert([embedding("z", at, near(rng, base, 0.0001)) for at in range(20)])
    (hits,) = store.search(base[None], 5)
    assert len(hits) == 5
    assert "z" not in {hit.ref.video_id for hit in hits}


def test_no_number_of_hidden_segments_takes_a_place(nodes: Nodes, rng: np.random.Generator) -> None:
    """More hidden segments than one answer holds lie nearer: of a long version that is not complete, of
    many versions that are not, of a deleted video and of an older version."""
    store = store_over(nodes)
    base = unit_rows(rng, 1)[0]
    shown = [embedding(name, 0, near(rng, base, 0.01), version=2) for name in "abcdefghij"]
    store.upsert(shown)
    store.show([row([one]) for one in shown])
    long = [embedding("long", at, near(rng, base, 0.0001)) for at in range(1300)]
    many = [embedding(f"many-{at}", 0, near(rng, base, 0.0002)) for at in range(300)]
    older = [embedding("a", at, near(rng, base, 0.0003)) for at in range(1, 200)]
    # One batch after the other: local mode cannot write from several threads.
    for start in range(0, 1800, 500):
        store.upsert([*long, *many, *older][start : start + 500])
    for k in (1, 5, 10):
        (hits,) = store.search(base[None], k)
        assert len(hits) == k
        assert {hit.ref for hit in hits} <= {one.ref for one in shown}
    # There are no more.
    assert len(store.search(base[None], 20)[0]) == 10
    bank = Filter(banks=frozenset({"nobody's"}))
    assert store.search(base[None], 5, bank) == [[]]


def test_an_index_that_never_rests_is_an_error(
    nodes: Nodes, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_over(nodes)
    old = video(rng, "a", 3)
    store.upsert(old)
    store.show([row(old)])
    entries = Register.entries
    versions = itertools.count(2)

    def meanwhile(register: Register, *arguments: Any) -> Any:
        store.register.write([row(video(rng, "a", 3, version=next(versions)))])
        return entries(register, *arguments)

    monkeypatch.setattr(Register, "entries", meanwhile)
    with pytest.raises(DependencyError, match=r"changed, .* try again"):
        store.search(old[0].vector[None], 3)


def test_every_bank_is_counted_however_many_there_are(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register_module, "_MOST_VALUES", 3)
    monkeypatch.setattr(register_module, "_PAGE", 2)
    with writer(nodes, tmp_path / "w") as index, reader(nodes, tmp_path / "r") as answering:
        for number in range(7):
            put(index, video(rng, f"v{number}", 1, bank=f"bank-{number % 5}"))
        expected = {f"bank-{number}": 2 if number < 2 else 1 for number in range(5)}
        assert answering.videos.bank_counts() == expected
        assert answering.videos.banks() == sorted(expected)
        assert answering.videos.counts() == {"ready": 7}
        assert len(set(answering.videos.some(6))) == 6
        assert len(set(answering.videos.some(100))) == 7
        assert answering.videos.some(0) == []


def test_a_search_that_began_before_a_new_version_sees_it_all(
    nodes: Nodes, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_over(nodes)
    old = video(rng, "a", 6)
    store.upsert(old)
    store.show([row(old)])
    new = [embedding("a", at, near(rng, one.vector), version=2) for at, one in enumerate(old)]
    entries = Register.entries

    def meanwhile(register: Register, *arguments: Any) -> Any:
        monkeypatch.setattr(Register, "entries", entries)
        store.upsert(new)
        store.show([row(new)])
        return entries(register, *arguments)

    monkeypatch.setattr(Register, "entries", meanwhile)
    assert versions_found(store, old[0]) == [2] * 6


def test_a_write_that_arrives_late_changes_nothing(nodes: Nodes, rng: np.random.Generator) -> None:
    """A node that was held up applies a request after its repetition and what followed."""
    store = store_over(nodes)
    first, second = video(rng, "a", 5), video(rng, "a", 3, version=2)
    store.upsert(first)
    store.show([row(first)])
    store.upsert(second)
    store.show([row(second)])
    store.register.write([row(first)])
    store.upsert(first)
    assert versions_found(store, second[0]) == [2] * 3
    store.show([], [("a", 2)])
    store.register.write([row(second)])
    store.upsert(second)
    store.register.write([row(first)])
    store.register.write([], [("a", 1)])
    assert versions_found(store, second[0]) == []
    assert store.vectors_of("a").refs == []
    third = video(rng, "a", 2, version=3)
    store.upsert(third)
    store.show([row(third)])
    store.register.write([], [("a", 2)])
    assert versions_found(store, third[0]) == [3] * 2


def test_showing_an_older_version_keeps_the_points_of_the_newer_one(
    nodes: Nodes, rng: np.random.Generator
) -> None:
    store = store_over(nodes)
    second = video(rng, "a", 3, version=2)
    store.upsert(second)
    store.show([row(second)])
    first = video(rng, "a", 5)
    store.upsert(first)
    store.keep_only("a", 2, second[:1])
    store.show([row(first)])
    assert len(store.vectors_of("a").refs) == 3
    assert store.count() == 3


def test_any_number_of_processes_answer_without_a_folder(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with writer(nodes, tmp_path / "data") as index:
        readers = [reader(nodes, tmp_path / name) for name in ("r1", "r2")]
        segments = video(rng, "a", 5, bank="news")
        put(index, segments)
        put(index, video(rng, "b", 2))
        for one in readers:
            assert one.search(segments[1].vector[None], 1)[0][0].ref == segments[1].ref
            assert one.videos.banks() == ["default", "news"]
            assert one.videos.has_bank("news")
            assert one.videos.uri_of("a") == "/a"
            assert one.videos.counts() == {"ready": 2}
            assert one.videos.total(Selection(bank="news")) == 1
            names = [video.video_id for video in one.videos.all()]
            assert sorted(names) == ["a", "b"]
            page, cursor = one.videos.page(limit=1)
            rest, end = one.videos.page(after=cursor or "", limit=5)
            assert [*page, *rest] == list(one.videos.all())
            assert end is None
            with pytest.raises(DataFolderError, match="read-only"):
                put(one, video(rng, "c", 1))
        index.delete_videos(["a"])
        for one in readers:
            assert one.videos.get("a") is None
            assert one.vectors_of("a").refs == []
            one.close()
    assert not (tmp_path / "r1").exists()
    assert not (tmp_path / "data" / "snapshots").exists()
    assert not (tmp_path / "data" / "mirror").exists()


def test_what_was_committed_becomes_visible_although_the_register_failed(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = video(rng, "a", 3)

    def fails(*_: Any) -> None:
        raise DependencyError("gone")

    index = writer(nodes, tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(Register, "write", fails)
        with pytest.raises(DependencyError):
            put(index, segments)
        assert versions_found(index.store, segments[0]) == []
    # The next change, even an empty one, catches up.
    index.apply(Change())
    assert versions_found(index.store, segments[0]) == [1] * 3
    with monkeypatch.context() as broken:
        broken.setattr(Register, "write", fails)
        with pytest.raises(DependencyError):
            index.delete_videos(["a"])
    index.close()
    # And so does the next start.
    with writer(nodes, tmp_path) as again:
        assert versions_found(again.store, segments[0]) == []
        assert again.store.count() == 0
        assert again.videos.unpurged() == []


def test_what_a_killed_process_left_of_a_version_is_cleared(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator
) -> None:
    first = video(rng, "a", 4)
    with writer(nodes, tmp_path) as index:
        put(index, first)
        index.videos.begin(row(video(rng, "a", 9, version=2)))
        index.store.upsert(video(rng, "a", 9, version=2))
    with writer(nodes, tmp_path) as again:
        assert versions_found(again.store, first[0]) == [1] * 4
        put(again, video(rng, "a", 2, version=2))
        assert again.store.count() == 2
        assert len(again.vectors_of("a").refs) == 2


def test_a_new_video_that_a_killed_process_left_is_not_shown(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = video(rng, "a", 4)

    def dies(store: QdrantStore, embeddings: Sequence[Embedding]) -> None:
        upsert(store, embeddings[:2])
        raise KeyboardInterrupt

    upsert = QdrantStore.upsert
    with monkeypatch.context() as broken, writer(nodes, tmp_path) as index:
        broken.setattr(QdrantStore, "upsert", dies)
        with pytest.raises(KeyboardInterrupt):
            put(index, half)
    with writer(nodes, tmp_path) as again:
        assert again.videos.pending() == ["a"]
        assert versions_found(again.store, half[0]) == []
        assert again.level_with_mirror("a")
        assert again.relevel("a")
        assert again.shard_versions() == {}


def test_a_video_that_is_deleted_before_it_is_complete_leaves_nothing(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator
) -> None:
    half = video(rng, "a", 4)
    with writer(nodes, tmp_path) as index:
        index.videos.begin(row(half))
        index.store.upsert(half[:2])
    with writer(nodes, tmp_path) as again:
        assert len(again.segments_of("a")) == 2
        assert again.delete_videos(["a"])
        assert again.segments_of("a") == []
        put(again, video(rng, "a", 3, version=again.videos.next_version("a")))
        assert again.shard_versions() == {"a": 2}


def test_a_lost_folder_is_read_back_from_qdrant(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator
) -> None:
    with writer(nodes, tmp_path / "lost") as index:
        put(index, video(rng, "a", 3))
        put(index, video(rng, "b", 3))
    with writer(nodes, tmp_path / "new") as again:
        assert again.videos.versions() == {"a": 1, "b": 1}
        assert "read from Qdrant" in again.notices[0]
        put(again, video(rng, "a", 2, version=again.videos.next_version("a")))
        assert again.shard_versions() == {"a": 2, "b": 1}


def test_a_folder_from_a_backup_takes_over_what_changed_later(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator
) -> None:
    with writer(nodes, tmp_path / "now") as index:
        for name in ("kept", "changed", "deleted"):
            put(index, video(rng, name, 3))
    shutil.copytree(tmp_path / "now", tmp_path / "backup")
    with writer(nodes, tmp_path / "now") as index:
        put(index, video(rng, "changed", 4, version=2))
        put(index, video(rng, "changed", 5, version=3))
        put(index, video(rng, "new", 2))
        index.delete_videos(["deleted"])
    with writer(nodes, tmp_path / "backup") as again:
        versions = {"kept": 1, "changed": 3, "new": 1}
        assert again.videos.versions() == versions == again.shard_versions()
        assert again.notices == ["2 videos, which the catalogue lacked, were read from Qdrant"]
        for name, next_version in (("changed", 4), ("deleted", 2), ("new", 2)):
            assert again.videos.next_version(name) == next_version
            segments = video(rng, name, 2, version=next_version)
            put(again, segments)
            assert versions_found(again.store, segments[0]) == [next_version] * 2
    # A folder that is lost altogether knows of deletions, too.
    with writer(nodes, tmp_path / "now") as index:
        index.delete_videos(["kept"])
    with writer(nodes, tmp_path / "lost") as again:
        assert again.videos.next_version("kept") == 2


def test_points_of_an_older_version_that_a_killed_process_left_are_removed_at_the_next_start(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise DependencyError("gone")

    with writer(nodes, tmp_path) as index:
        put(index, video(rng, "a", 4))
        with monkeypatch.context() as broken:
            broken.setattr(QdrantStore, "_delete", fails)
            with pytest.raises(DependencyError):
                put(index, video(rng, "a", 3, version=2))
        assert index.store.count() == 7
    with writer(nodes, tmp_path) as again:
        assert again.store.count() == 3
        assert again.videos.unshown() == []


def test_a_video_whose_segments_qdrant_lost_is_to_be_indexed_again(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator
) -> None:
    with writer(nodes, tmp_path) as index:
        put(index, video(rng, "a", 4))
        put(index, video(rng, "b", 4))
        index.store.forget("a")
    with writer(nodes, tmp_path) as again:
        assert again.videos.pending() == ["a"]
        assert "lacks segments of 1 videos, such as a" in again.notices[0]
        put(again, video(rng, "a", 4, version=again.videos.next_version("a")))
        assert again.shard_versions() == {"a": 2, "b": 1}


def test_what_is_left_of_a_deleted_video_is_found(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator
) -> None:
    """A receipt of its deletion must look for it and not only ask the register."""
    segments = video(rng, "a", 3)
    with writer(nodes, tmp_path) as index:
        put(index, segments)
        index.delete_videos(["a"])
        assert index.segments_of("a") == []
        # A write that was held up arrives.
        index.store.upsert(segments[:2])
        assert index.segments_of("a") == [one.ref for one in segments[:2]]
        assert index.vectors_of("a").refs == []
    with writer(nodes, tmp_path) as again:
        assert again.segments_of("a") == []


def test_a_deletion_that_arrives_late_deletes_nothing_of_a_repeated_change(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that was held up applies a request after its repetition and what followed."""
    segments = video(rng, "a", 4)
    late: list[models.Filter] = []
    delete = QdrantStore._delete  # noqa: SLF001

    def held_up(store: QdrantStore, only: models.Filter) -> None:
        late.append(only)
        delete(store, only)

    monkeypatch.setattr(QdrantStore, "_delete", held_up)
    with writer(nodes, tmp_path) as index:
        # A change that was cut short.
        index.videos.begin(row(segments))
        index.store.upsert(video(rng, "a", 7))
    with writer(nodes, tmp_path) as again:
        put(again, segments)
        assert late
        for only in late:
            delete(again.store, only)
        assert versions_found(again.store, segments[0]) == [1] * 4
        assert again.store.count() == 4


def test_indexes_of_payload_fields_that_a_crash_left_out_are_made_at_the_next_start(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []

    def create(_: QdrantClient, collection_name: str, field_name: str, **__: Any) -> None:
        made.append((collection_name, field_name))

    monkeypatch.setattr(QdrantClient, "create_payload_index", create)
    for _ in range(2):
        made.clear()
        store_over(nodes)
        # Local mode never has one.
        assert {field for name, field in made if name.endswith("-segments")} == {*SEGMENT_INDEXES}


@pytest.mark.parametrize("part", ["segments", "videos"])
def test_a_collection_of_another_kind_is_refused(nodes: Nodes, part: str) -> None:
    other = models.VectorParams(size=128, distance=models.Distance.COSINE)
    name = f"storyhash-{part}"
    if part == "segments":
        store_over(nodes)
        nodes.ask(lambda client: client.delete_collection(name))
    nodes.ask(lambda client: client.create_collection(name, vectors_config={"image": other}))
    with pytest.raises(ModelMismatchError, match=f"{name}.*STORYHASH_QDRANT__COLLECTION"):
        store_over(nodes)


def test_beside_segments_of_another_kind_no_register_is_left(nodes: Nodes) -> None:
    other = models.VectorParams(size=128, distance=models.Distance.COSINE)
    name = "storyhash-segments"
    nodes.ask(lambda client: client.create_collection(name, vectors_config={"image": other}))
    with pytest.raises(ModelMismatchError, match=name):
        store_over(nodes)
    assert not nodes.ask(lambda client: client.collection_exists("storyhash-videos"))


def test_a_lost_collection_means_that_everything_is_indexed_again(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    for times in range(2):
        client = QdrantClient(":memory:")
        with writer(Nodes.of(client, "here"), tmp_path) as index:
            assert index.videos.pending() == ["a"] * times
            assert bool(index.notices) is bool(times)
            put(index, video(rng, "a", 3, version=1 + times))
            assert index.videos.pending() == []


def test_a_wrong_collection_loses_no_row(tmp_path: Path, rng: np.random.Generator) -> None:
    right, wrong = QdrantClient(":memory:"), QdrantClient(":memory:")
    segments = video(rng, "a", 3)
    with writer(Shared(Nodes.of(right, "right").nodes), tmp_path) as index:
        index.replace_video(replace(row(segments), title="A title"), segments)
    with writer(Nodes.of(wrong, "wrong"), tmp_path) as index:
        assert any("is empty" in said for said in index.notices)
        kept = index.videos.get("a")
        assert kept is not None
        assert (kept.state, kept.title, kept.uri) == ("pending", "A title", "/a")
    with writer(Nodes.of(right, "right"), tmp_path) as index:
        assert index.search(segments[0].vector[None], 1)[0][0].ref.video_id == "a"


def test_a_process_that_only_answers_makes_no_collection(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator
) -> None:
    client = QdrantClient(":memory:")
    with writer(Nodes.of(client, "here"), tmp_path) as index:
        put(index, video(rng, "a", 3))
    with pytest.raises(DependencyError, match=r"storyhash-videos.*STORYHASH_QDRANT__COLLECTION"):
        reader(nodes, tmp_path)
    assert not nodes.ask(lambda client: client.get_collections()).collections


def test_a_deletion_that_an_older_snapshot_of_qdrant_lacks_is_made_again(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator
) -> None:
    segments = video(rng, "a", 3)
    with writer(nodes, tmp_path) as index:
        put(index, segments)
        put(index, video(rng, "b", 2))
        index.delete_videos(["a"])
        # As a snapshot has it that was made before.
        index.store.forget("a")
        index.store.upsert(segments)
        index.store.show([row(segments)])
        assert len(index.vectors_of("a").refs) == 3
    with writer(nodes, tmp_path) as index:
        assert index.vectors_of("a").refs == index.segments_of("a") == []
        assert index.shard_versions() == {"b": 1}


def test_another_models_collection_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    writer(nodes, tmp_path / "a").close()
    other = FolderManifest("test", "another-model", "qdrant")
    with pytest.raises(ModelMismatchError, match="STORYHASH_QDRANT__COLLECTION"):
        QdrantIndex.open_writer(tmp_path / "b", other, SETTINGS, nodes=nodes)


class TwoNodes(Nodes):
    """Two nodes whose answers of the register differ: the first was paused and lacks the last write."""

    def __init__(self, behind: QdrantClient, ahead: QdrantClient) -> None:
        super().__init__([*Nodes.of(behind, "behind").nodes, *Nodes.of(ahead, "ahead").nodes])
        self.preferred = self.nodes[0]


def test_a_node_that_was_paused_neither_brings_back_nor_hides(rng: np.random.Generator) -> None:
    behind, ahead = QdrantClient(":memory:"), QdrantClient(":memory:")
    stores = [store_over(Nodes.of(client, "one")) for client in (behind, ahead)]
    gone, kept, new = video(rng, "gone", 3), video(rng, "kept", 3), video(rng, "new", 3)
    for store in stores:
        store.upsert([*gone, *kept])
        store.register.write([row(gone), row(kept)])
    stores[1].upsert(new)
    stores[1].show([row(new)], [("gone", 1)])
    nodes = TwoNodes(behind, ahead)
    both = store_over(nodes)
    assert versions_found(both, gone[0]) == []
    nodes.preferred = nodes.nodes[0]
    assert versions_found(both, new[0]) == [1] * 3
    assert versions_found(both, kept[0]) == [1] * 3
    both.close()


def test_lists_and_counts_are_those_of_a_node_that_lacks_nothing(rng: np.random.Generator) -> None:
    behind, ahead = QdrantClient(":memory:"), QdrantClient(":memory:")
    stores = [store_over(Nodes.of(client, "one")) for client in (behind, ahead)]
    gone, new = video(rng, "gone", 3), video(rng, "new", 3, bank="news")
    for store in stores:
        store.register.write([row(gone)])
    stores[1].register.write([row(new)], [("gone", 1)])
    nodes = TwoNodes(behind, ahead)
    both = Register(nodes, QdrantSettings())
    for _ in range(2):
        nodes.preferred = nodes.nodes[0]
        assert both.versions() == {"new": 1}
        nodes.preferred = nodes.nodes[0]
        assert both.values("bank") == {"news": 1}
        nodes.preferred = nodes.nodes[0]
        assert both.count(live_filter()) == 1
        assert both.deleted() == {"gone": 1}
    # The clock of this machine may be behind that of the one that wrote before.
    later = both._next_epoch()  # noqa: SLF001
    assert later > max(both._epochs().values())  # noqa: SLF001
    nodes.close()


def test_a_node_that_finds_segments_and_then_fails_is_not_trusted(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind, ahead = QdrantClient(":memory:"), QdrantClient(":memory:")
    stores = [store_over(Nodes.of(client, "one")) for client in (behind, ahead)]
    new = video(rng, "new", 3)
    stores[1].upsert(new)
    stores[1].show([row(new)])

    def fails(*_: Any, **__: Any) -> None:
        raise ResponseHandlingException(TimeoutError("paused"))

    monkeypatch.setattr(behind, "retrieve", fails)
    nodes = TwoNodes(behind, ahead)
    nodes.nodes += Nodes.of(ahead, "ahead too").nodes
    three = store_over(nodes)
    nodes.preferred = nodes.nodes[0]
    assert versions_found(three, new[0]) == [1] * 3
    three.close()


def test_a_search_waits_for_no_write(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = QdrantSettings(batch_queries=1, requests_in_flight=1)
    store = QdrantStore(nodes, settings, SearcherSettings(), MODEL_ID)
    one = video(np.random.default_rng(3), "one.mp4", 2)
    store.upsert(one)
    store.show([row(one)])
    began, ended = threading.Event(), threading.Event()
    written: list[object] = []

    def blocked(batch: object) -> None:
        began.set()
        ended.wait(300)
        written.append(batch)

    monkeypatch.setattr(store, "_write", blocked)
    writing = threading.Thread(target=store.upsert, args=(one,))
    writing.start()
    began.wait(300)
    queries = np.stack([part.vector for part in one])
    assert [hits[0].ref for hits in store.search(queries, 1)] == [part.ref for part in one]
    assert not written
    ended.set()
    writing.join()
    assert written
    store.close()


def test_no_file_of_a_deleted_upload_is_left(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator
) -> None:
    film = tmp_path / "film"
    film.write_bytes(b"film")
    with writer(nodes, tmp_path / "data") as index:
        path = index.uploads.path("a", "f" * 64, "film.mp4")
        with index.uploads.taken_in(film, 1000) as file:
            index.uploads.keep(file, "a", path)
        put(index, video(rng, "a", 3))
        assert index.uploads.count("a") == 1
        index.delete_videos(["a"])
        assert index.uploads.count("a") == 0
        unfinished = path.parent.parent / "crashed.new"
        unfinished.write_bytes(b"film")
    with writer(nodes, tmp_path / "data"):
        assert not unfinished.exists()


def test_the_catalogue_is_rewritten_without_what_was_deleted(
    nodes: Nodes, tmp_path: Path, rng: np.random.Generator
) -> None:
    with writer(nodes, tmp_path) as index:
        points = video(rng, "a", 3)
        index.replace_video(replace(row(points), title="a secret title"), points)
        index.delete_videos(["a"])
        index.compact()
        files = [path.read_bytes() for path in tmp_path.glob("videos.sqlite*")]
        assert not any(b"a secret title" in content for content in files)
    with reader(nodes, tmp_path) as index, pytest.raises(DataFolderError, match="read-only"):
        index.compact()
