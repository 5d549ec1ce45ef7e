"""The index of one machine: nothing acknowledged is lost, nothing deleted comes back."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataFolderError, ModelMismatchError, NoFramesError
from common.types import Embedding
from searcher.index.snapshot import snapshots
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import read_manifest
from searcher.storage.video import Video
from tests.support import preloaded
from tests.support.embeddings import MODEL_ID, embedding, unit_rows, video
from tests.support.index_writer import MANIFEST, SETTINGS, row
from tests.support.services import ROOT, clean_environment


def write(index: LocalIndex, points: list[Embedding]) -> None:
    ref = points[0].ref
    index.replace_video(row(ref.video_id, ref.version), points)


def finds(index: LocalIndex, points: list[Embedding]) -> bool:
    """Whether each of these is what a search for it finds first."""
    hits = index.search(np.stack([one.vector for one in points]), 1)
    return all(found and found[0].ref == one.ref for found, one in zip(hits, points, strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def writer(folder: Path) -> Iterator[LocalIndex]:
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        yield index


def open_reader(folder: Path) -> LocalIndex:
    return LocalIndex.open_reader(folder, MANIFEST, SETTINGS)


def test_what_was_written_is_there_when_opened_again(
    folder: Path, rng: np.random.Generator
) -> None:
    films = [video(rng, name, 10) for name in "abc"]
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        for film in films:
            write(index, film)
    # No snapshot was made: the reader brings one up to date from the mirror.
    with open_reader(folder) as index:
        assert all(finds(index, film) for film in films)
    assert len(snapshots(folder / "snapshots")) == 1
    assert read_manifest(folder) == MANIFEST


def test_an_interrupt_between_rows_and_shard_loses_no_video(
    folder: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = video(rng, "a", 10), video(rng, "b", 10)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        write(index, first)
        monkeypatch.setattr(index.shard, "replace_videos", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write(index, second)
        # As `storyhash index` does when it is interrupted.
        index.save_snapshot()
    with open_reader(folder) as index:
        assert finds(index, first)
        assert finds(index, second)


def test_a_new_version_replaces_the_old_one_whole(folder: Path, rng: np.random.Generator) -> None:
    old, new = video(rng, "a", 10), video(rng, "a", 4, version=2)
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        write(index, old)
        index.save_snapshot()
        write(index, new)
        assert finds(index, new)
        assert not finds(index, old[:1])
    with open_reader(folder) as index:
        assert finds(index, new)
        assert index.stats.live == 4


def test_a_deleted_video_is_absent_everywhere(folder: Path, rng: np.random.Generator) -> None:
    gone, kept = video(rng, "gone", 10), video(rng, "kept", 10)
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        write(index, gone)
        write(index, kept)
        index.save_snapshot()
        assert index.delete_videos(["gone"])
        assert not index.delete_videos(["gone"])
        assert index.videos.get("gone") is None
        index.rebuild()
        assert {hit.ref.video_id for hit in index.search(unit_rows(rng, 1), 30)[0]} == {"kept"}
    for snapshot in snapshots(folder / "snapshots"):
        assert "gone" not in (snapshot / "names.json").read_text()
    with open_reader(folder) as index:
        assert finds(index, kept)
        assert index.vectors_of("gone")[0] == []


def test_a_deletion_cut_short_is_finished_when_next_opened(
    folder: Path, rng: np.random.Generator
) -> None:
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        write(index, video(rng, "gone", 10))
        write(index, video(rng, "kept", 10))
        index.save_snapshot()
        # The process dies right after the row is gone.
        index.videos.delete("gone")
    with open_reader(folder) as index:
        assert index.vectors_of("gone")[0] == []
        assert len(index.vectors_of("kept")[0]) == 10
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        assert index.videos.unpurged() == []
        index.rebuild()
        assert index.vectors_of("gone")[0] == []


def test_a_deleted_video_may_be_indexed_again_under_a_higher_version(
    writer: LocalIndex, rng: np.random.Generator
) -> None:
    write(writer, video(rng, "a", 3))
    writer.delete_videos(["a"])
    assert writer.videos.next_version("a") == 2
    again = video(rng, "a", 3, version=2)
    write(writer, again)
    assert finds(writer, again)
    writer.rebuild()
    assert finds(writer, again)


def test_rebuilding_from_the_mirror_gives_the_same_answers(
    writer: LocalIndex, rng: np.random.Generator
) -> None:
    for name in "abcdef":
        write(writer, [*video(rng, name, 8), embedding(name, 8, None)])
    write(writer, video(rng, "b", 5, version=2))
    writer.delete_videos(["d"])
    queries = unit_rows(rng, 20)
    before = writer.search(queries, 10)
    writer.rebuild()
    after = writer.search(queries, 10)
    assert [[hit.ref for hit in hits] for hits in after] == [
        [hit.ref for hit in hits] for hits in before
    ]


def test_a_damaged_snapshot_gives_way_to_an_older_one_and_is_said(
    folder: Path, rng: np.random.Generator
) -> None:
    first, second = video(rng, "a", 20), video(rng, "b", 20)
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        write(index, first)
        index.save_snapshot()
        write(index, second)
        index.save_snapshot()
    newest = snapshots(folder / "snapshots")[0]
    (newest / "names.json").write_text("[]")
    with open_reader(folder) as index:
        assert any(newest.name in said and "older snapshot" in said for said in index.notices)
        assert finds(index, first)
        assert finds(index, second)
    # It was mended on the way.
    with open_reader(folder) as index:
        assert index.notices == []


def test_without_one_good_snapshot_the_mirror_is_enough(
    folder: Path, rng: np.random.Generator
) -> None:
    film = video(rng, "a", 20)
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        write(index, film)
        index.save_snapshot()
    for snapshot in snapshots(folder / "snapshots"):
        (snapshot / "manifest.json").write_text("{")
    with open_reader(folder) as index:
        assert any("rebuilt from the mirror" in said for said in index.notices)
        assert finds(index, film)
    shutil.rmtree(folder / "snapshots")
    with open_reader(folder) as index:
        assert finds(index, film)


def test_a_mirror_that_lost_a_video_has_it_indexed_again(
    folder: Path, rng: np.random.Generator
) -> None:
    old, new = video(rng, "old", 3), video(rng, "new", 3)
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        write(index, old)
        index.delete_videos(["old"])
        write(index, new)
        index.save_snapshot()
        # A snapshot of Qdrant has it so that was made before the last two changes.
        index.mirror.delete_video("new")
        index.mirror.upsert(old, {"old": row("old", 1)})
        index.mirror.flush()
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        assert index.videos.pending() == ["new"]
        assert any("lacks segments of 1 videos, such as new" in said for said in index.notices)
        assert index.segments_of("old") == []
        # The snapshot of the shard answers until the video is indexed again.
        assert index.search(new[0].vector[None], 1)[0][0].ref == new[0].ref
        again = [replace(one, ref=replace(one.ref, version=2)) for one in new]
        write(index, again)
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        assert index.notices == []
        assert index.videos.counts() == {"ready": 1}


def test_an_empty_mirror_costs_no_row(folder: Path, rng: np.random.Generator) -> None:
    whole = video(rng, "a", 3)
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        index.replace_video(replace(row("a", 1), title="A title"), whole)
        index.videos.begin(row("b", 1))
        index.save_snapshot()
        index.mirror.delete_video("a")
        index.mirror.flush()
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
        assert any("the mirror is empty" in said for said in index.notices)
        assert sorted(index.videos.pending()) == ["a", "b"]
        kept = index.videos.get("a")
        assert kept is not None
        assert kept.title == "A title"


def test_a_failed_update_leaves_the_older_version_searchable(
    writer: LocalIndex, rng: np.random.Generator
) -> None:
    film = video(rng, "a", 3)
    write(writer, film)
    writer.mark_failed(row("a", 2), NoFramesError("no frame decodes"))
    held = writer.videos.get("a")
    assert held is not None
    assert (held.state, held.version, held.error_code) == ("failed", 1, "no_frames")
    assert finds(writer, film)
    writer.rebuild()
    assert finds(writer, film)


def test_one_process_writes(folder: Path, writer: LocalIndex) -> None:
    with pytest.raises(DataFolderError, match=f"in use by process {os.getpid()}"):
        LocalIndex.open_writer(folder, MANIFEST, SETTINGS)


def test_readers_go_on_while_another_process_writes(
    folder: Path, writer: LocalIndex, rng: np.random.Generator
) -> None:
    first, second = video(rng, "a", 4), video(rng, "b", 4)
    write(writer, first)
    writer.save_snapshot()
    write(writer, second)
    with open_reader(folder) as index:
        assert finds(index, first)
        assert index.vectors_of("b")[0] == []
        assert any("another process is writing" in said for said in index.notices)
        with pytest.raises(DataFolderError, match="is open read-only"):
            index.delete_videos(["a"])


def test_another_models_folder_is_refused(folder: Path, writer: LocalIndex) -> None:
    other = replace(MANIFEST, model_id="other-model", profile="other")
    for opened in (LocalIndex.open_writer, LocalIndex.open_reader):
        with pytest.raises(ModelMismatchError, match=f"{MODEL_ID}.*other-model"):
            opened(folder, other, SETTINGS)


def test_another_mirror_is_refused(folder: Path, writer: LocalIndex) -> None:
    with pytest.raises(DataFolderError, match="STORYHASH_SEARCHER__MIRROR=edge"):
        LocalIndex.open_writer(folder, replace(MANIFEST, mirror="local"), SETTINGS)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(DataFolderError, match="not a StoryHash data folder"):
        LocalIndex.open_writer(tmp_path, MANIFEST, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_reader_needs_an_index(folder: Path) -> None:
    with pytest.raises(DataFolderError, match="storyhash index"):
        open_reader(folder)
    assert not folder.exists()


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"format": 1}', ""])
def test_a_damaged_manifest_is_named(folder: Path, writer: LocalIndex, text: str) -> None:
    (folder / "storyhash.json").write_text(text)
    with pytest.raises(DataFolderError, match="damaged"):
        read_manifest(folder)


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(
    folder: Path, tmp_path: Path
) -> None:
    moments = random.Random(5)
    state: dict[str, int | None] = {}
    for _ in range(6):
        ours, theirs = os.pipe()
        with open(theirs, "wb") as stdout, (tmp_path / "writer.log").open("ab") as stderr:
            process = preloaded.start(
                ["tests.support.index_writer", str(folder)],
                env=clean_environment({}),
                cwd=ROOT,
                stdout=stdout,
                stderr=stderr,
            )
        with open(ours, encoding="utf-8") as lines:
            for _ in range(moments.randint(1, 40)):
                what, name, version = next(lines).split()
                state[name] = int(version) if what == "wrote" else None
            process.kill()
            for line in lines:
                what, name, version = line.split()
                state[name] = int(version) if what == "wrote" else None
        process.wait()
        with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as index:
            _check(index, state)
            index.rebuild()
            # What became of the change that was in flight stays so.
            state = _check(index, state)


def _check(index: LocalIndex, state: dict[str, int | None]) -> dict[str, int | None]:
    """Every acknowledged change is there; the one that was in flight is there whole or not at all.
    Returns the version of each video that is there."""
    found: dict[str, int | None] = {}
    for name in state:
        refs, vectors, _ = index.vectors_of(name)
        versions = {ref.version for ref in refs}
        assert len(versions) <= 1
        held = found[name] = versions.pop() if versions else None
        if held is not None:
            expected = video(np.random.default_rng((int(name[1:]), held)), name, 5, version=held)
            assert [one.ref for one in expected] == refs
            np.testing.assert_allclose(vectors, [one.vector for one in expected], atol=1e-6)
    # At most the change that was being made when the process died.
    assert sum(found[name] != state[name] for name in state) <= 1
    return found


@pytest.mark.parametrize("cut_short", ["by a crash", "by an error"])
def test_points_of_a_change_that_was_cut_short_are_in_no_later_version(
    folder: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, cut_short: str
) -> None:
    longer, shorter = video(rng, "a", 6, version=2), video(rng, "a", 3, version=2)
    index = LocalIndex.open_writer(folder, MANIFEST, SETTINGS)
    write(index, video(rng, "a", 4))
    with monkeypatch.context() as patch:
        patch.setattr(index.videos, "commit", _cut)
        with pytest.raises(RuntimeError, match="cut"):
            write(index, longer)
    if cut_short == "by a crash":
        index.close()
        index = LocalIndex.open_writer(folder, MANIFEST, SETTINGS)
    # The file is another one by now, so the same version has fewer segments.
    write(index, shorter)
    assert sorted(index.segments_of("a")) == [one.ref for one in shorter]
    index.rebuild()
    assert index.vectors_of("a")[0] == [one.ref for one in shorter]
    index.close()


def _cut(_: Video) -> None:
    raise RuntimeError("cut")
