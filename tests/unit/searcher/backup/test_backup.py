"""Backups are of one moment though the index changes; damage is found; a restore loses nothing."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import (
    CancelledError,
    CorruptIndexError,
    DataFolderError,
    StorageError,
    UsageError,
)
from common.settings import QdrantSettings, SearcherSettings, Settings
from common.state.roles import Role
from common.state.state import State
from common.types import Embedding
from searcher.backup import create, restore
from searcher.backup.backups import newest_backup_time
from searcher.backup.create import Source, create_backup
from searcher.backup.manifest import SecondManifest, backups_in, damage, read_manifest
from searcher.backup.restore import restore_backup
from searcher.generations import current_generation
from searcher.index_transaction import Change, CompleteVideo
from searcher.local_index import LocalIndex
from searcher.qdrant.index import QdrantIndex
from searcher.qdrant.nodes import Nodes
from searcher.second_folder import second_folder, settings_of_second
from searcher.storage import data_dir
from searcher.storage.data_dir import FolderManifest
from searcher.storage.data_dir import read_manifest as folder_manifest
from searcher.storage.video import Video
from searcher.transfer.sources import BackupSource
from searcher.video_index import VideoIndex
from tests.support.embeddings import MODEL_ID, embedding, unit_rows, video
from tests.support.index_writer import MANIFEST, SETTINGS, row
from tests.support.keys import key_of
from tests.unit.searcher.log.test_consumer import end, feed, searchable


def write(index: LocalIndex, points: list[Embedding]) -> None:
    index.replace_video(row(points[0].ref.video_id, points[0].ref.version), points)


@pytest.fixture
def films(rng: np.random.Generator) -> dict[str, list[Embedding]]:
    """Three videos; the second has a segment that never matches, and the third is of a bank."""
    blank = embedding("b", 4, None)
    films = {"a": video(rng, "a", 6), "b": [*video(rng, "b", 4), blank]}
    return films | {"c": video(rng, "c", 5, bank="news")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def index(folder: Path, films: dict[str, list[Embedding]]) -> Iterator[LocalIndex]:
    with LocalIndex.open_writer(folder, MANIFEST, SETTINGS) as opened:
        for points in films.values():
            write(opened, points)
        yield opened


def source(index: VideoIndex) -> Source:
    return Source(index, index.folder, "", state_is_elsewhere=False)


def settings_of(folder: Path, **searcher: Any) -> Settings:
    return Settings(data_dir=folder, searcher=SearcherSettings(delta_rows=16, **searcher))


def reopened(folder: Path) -> LocalIndex:
    return LocalIndex.open_writer(folder, MANIFEST, settings_of(folder))


def everything(index: VideoIndex) -> dict[str, list[bytes]]:
    """All that is stored of every segment, by video."""
    videos = list(index.videos.all())
    found = index.embeddings_of(videos)
    return {
        name: sorted(
            repr((one.ref, one.informative, one.model_id)).encode()
            + one.vector.tobytes()
            + one.graph.tobytes()
            + one.frames.tobytes()
            for one in points
        )
        for name, points in found.items()
    }


def holds(folder: Path, one: Embedding) -> list[str]:
    """Names of files that have the bytes of a vector."""
    wanted = one.vector.astype("<f4").tobytes()[:64]
    return [
        path.name for path in folder.rglob("*") if path.is_file() and wanted in path.read_bytes()
    ]


def test_the_time_of_the_newest_backup_is_that_of_a_complete_one(
    index: LocalIndex, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    assert newest_backup_time(folder) == 0
    made = create_backup(source(index), folder)
    at = newest_backup_time(folder)
    assert at == datetime.fromisoformat(read_manifest(made).created_at).timestamp() > 0
    newer = create_backup(source(index), folder)
    (newer / "backup.json").write_text("{}")
    assert newest_backup_time(folder) == at
    (made / "backup.json").write_text("{}")
    assert newest_backup_time(folder) == 0


@pytest.mark.parametrize("works", [True, False])
def test_a_postgresql_state_is_in_the_backup_if_it_can_be_dumped(
    index: LocalIndex, tmp_path: Path, works: bool
) -> None:
    def dump(path: Path) -> bool:
        if works:
            path.write_text("rows")
        return works

    there = replace(source(index), state_is_elsewhere=True, dump_state=dump)
    made = create_backup(there, tmp_path / "backups")
    manifest = read_manifest(made)
    assert manifest.state_database == ("postgresql_dump" if works else "postgresql")
    assert ("state.dump" in manifest.files) == works
    assert damage(made) == []


def test_a_backup_restores_the_same_catalogue_vectors_answers_and_keys(
    index: LocalIndex, folder: Path, tmp_path: Path, films: dict[str, list[Embedding]]
) -> None:
    with State(Settings(data_dir=folder)) as state:
        key_of(state, Role.WRITER)
        keys = [key.to_json() for key in state.keys.page()[0]]
    staged = video(np.random.default_rng(3), "staged", 3)
    feed(index, *staged[:2])
    made = create_backup(source(index), tmp_path / "backups")
    assert damage(made) == []
    manifest = read_manifest(made)
    assert (manifest.videos, manifest.segments, manifest.state_database) == (3, 16, "sqlite")
    rows, stored = list(index.videos.all()), everything(index)
    queries = np.stack([one.vector for points in films.values() for one in points])
    answers = index.search(queries, 5)

    other = tmp_path / "elsewhere"
    restore_backup(made, settings_of(other))
    with reopened(other) as again:
        assert again.notices == []
        assert (list(again.videos.all()), everything(again)) == (rows, stored)
        assert again.search(queries, 5) == answers
        # What was staged is complete with its last message.
        feed(again, staged[2], end("staged", 3))
        assert searchable(again)["staged"] == (1, 3)
    with State(Settings(data_dir=other)) as state:
        assert [key.to_json() for key in state.keys.page()[0]] == keys


@pytest.mark.parametrize("store", ["edge", "qdrant"])
def test_a_second_index_is_backed_up_verified_and_restored_with_the_first_one(
    index: LocalIndex,
    folder: Path,
    tmp_path: Path,
    films: dict[str, list[Embedding]],
    monkeypatch: pytest.MonkeyPatch,
    store: str,
) -> None:
    other_model = FolderManifest("other", "other-0123456789ab")
    points = [replace(one, model_id=other_model.model_id) for one in films["a"]]
    with LocalIndex.open_writer(second_folder(folder), other_model, SETTINGS) as second:
        write(second, points)
        stored = everything(second)
        made = create_backup(replace(source(index), second=second), tmp_path / "backups")
    kept = SecondManifest("other", other_model.model_id, 1, 6)
    assert read_manifest(made).second_opinion == kept
    assert read_manifest(made).to_json("name")["second_opinion"]["videos"] == 1

    connected: list[str] = []

    def connect(settings: QdrantSettings) -> Nodes:
        connected.append(settings.collection)
        return Nodes.local(tmp_path / settings.collection)

    monkeypatch.setattr(Nodes, "connect", connect)
    home = tmp_path / "elsewhere"
    settings = settings_of(home, **({"backend": "qdrant"} if store == "qdrant" else {}))
    restore_backup(made, settings)
    # Each index in a collection of its own.
    assert len({*connected}) == len(connected) == (2 if store == "qdrant" else 0)
    own = settings_of_second(settings, "other")
    assert own.data_dir == second_folder(home)
    kind = QdrantIndex if store == "qdrant" else LocalIndex
    manifest = replace(other_model, mirror=settings.searcher.store)
    with kind.open_writer(own.data_dir, manifest, own) as again:
        assert everything(again) == stored
    with kind.open_writer(
        home, replace(MANIFEST, mirror=settings.searcher.store), settings
    ) as first:
        assert searchable(first).keys() == {"a", "b", "c"}

    (made / "second-opinion" / "videos.sqlite").unlink()
    assert damage(made) == ["second-opinion/videos.sqlite is missing"]


def test_a_backup_without_a_second_index_is_described_as_before(
    index: LocalIndex, tmp_path: Path
) -> None:
    made = create_backup(source(index), tmp_path / "backups")
    assert "second_opinion" not in json.loads((made / "backup.json").read_text())
    assert read_manifest(made).second_opinion is None


def test_a_backup_is_of_one_moment_though_videos_change_while_it_is_made(
    index: LocalIndex,
    tmp_path: Path,
    films: dict[str, list[Embedding]],
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new, added = video(rng, "a", 7, version=2), video(rng, "d", 3)
    late = embedding("c", 9, unit_rows(rng, 1)[0], bank="news")
    copy, calls = index.embeddings_of, []

    def changing(videos: Sequence[Video]) -> dict[str, list[Embedding]]:
        found = copy(videos)
        calls.append(len(videos))
        if len(calls) == 1:
            write(index, new)
            write(index, added)
            index.delete_videos(["b"])
            held = index.videos.get("c")
            assert held is not None
            grown = replace(held, segments=held.segments + 1)
            index.apply(Change(late=[CompleteVideo(grown, [late])]))
        return found

    monkeypatch.setattr(index, "embeddings_of", changing)
    made = create_backup(source(index), tmp_path / "backups")
    # First all three, then under the lock only what changed.
    assert calls == [3, 3]
    monkeypatch.undo()
    other = tmp_path / "elsewhere"
    restore_backup(made, settings_of(other))
    with reopened(other) as again:
        assert again.notices == []
        assert everything(again) == everything(index)
        assert searchable(again) == {"a": (2, 7), "c": (1, 6), "d": (1, 3)}
    # The reader of files is able to see a vector, and sees none of what is deleted or replaced.
    assert holds(made, films["c"][0])
    assert holds(other, films["c"][0])
    for gone in (films["b"][0], films["a"][0]):
        assert holds(made, gone) == holds(other, gone) == []


def test_what_is_damaged_is_named_and_not_restored(index: LocalIndex, tmp_path: Path) -> None:
    made = create_backup(source(index), tmp_path / "backups")
    piece = made / "embeddings" / "000000"
    content = bytearray(piece.read_bytes())
    content[len(content) // 2] ^= 1
    piece.write_bytes(content)
    (made / "videos.sqlite").unlink()
    shard_file = next(path for path in (made / "snapshots").rglob("*") if path.is_file())
    shard_file.write_bytes(shard_file.read_bytes() + b"x")
    wrong = damage(made)
    assert len(wrong) == 3
    assert "embeddings/000000 does not match its checksum" in wrong
    assert "videos.sqlite is missing" in wrong
    with pytest.raises(CorruptIndexError, match="is damaged"):
        restore_backup(made, settings_of(tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere").exists()
    held = json.loads((made / "backup.json").read_text())
    held["videos"] = 9
    (made / "backup.json").write_text(json.dumps(held))
    (told,) = damage(made)
    assert "backup.json does not match its checksum" in told
    with pytest.raises(CorruptIndexError) as refused:
        restore_backup(made, settings_of(tmp_path / "elsewhere"))
    assert str(refused.value) == told
    with pytest.raises(UsageError, match="not a backup"):
        damage(tmp_path)


def test_a_restore_replaces_nothing_that_is_used_or_there_unless_it_is_forced(
    index: LocalIndex, folder: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    made = create_backup(source(index), tmp_path / "backups")
    later = video(rng, "later", 3)
    write(index, later)
    with pytest.raises(DataFolderError, match="is in use by process"):
        restore_backup(made, settings_of(folder), force=True)
    index.close()
    with pytest.raises(DataFolderError, match="--force"):
        restore_backup(made, settings_of(folder))
    with reopened(folder) as untouched:
        assert "later" in searchable(untouched)
    restore_backup(made, settings_of(folder), force=True)
    with reopened(folder) as again:
        assert set(searchable(again)) == {"a", "b", "c"}
    assert holds(folder, later[0]) == []


def test_a_backup_in_the_data_folder_is_not_replaced_by_what_it_restores(
    index: LocalIndex, folder: Path
) -> None:
    made = create_backup(source(index), folder / "backups")
    index.close()
    with pytest.raises(DataFolderError, match="move the backup to another folder"):
        restore_backup(made, settings_of(folder), force=True)
    assert damage(made) == []


def test_an_interrupted_restore_is_no_data_folder_and_can_be_repeated(
    index: LocalIndex, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create_backup(source(index), tmp_path / "backups")
    index.close()
    rename, moved = Path.rename, []

    def interrupted(path: Path, target: Path) -> Path:
        moved.append(path.name)
        if path.parent.name == data_dir.RESTORING and path.name == "storyhash.json":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore_backup(made, settings_of(folder), force=True)
    monkeypatch.undo()
    assert "videos.sqlite" in moved
    with pytest.raises(DataFolderError, match=r"a restore into .* was interrupted.*--force"):
        folder_manifest(folder)
    restore_backup(made, settings_of(folder), force=True)
    with reopened(folder) as again:
        assert set(searchable(again)) == {"a", "b", "c"}


def test_a_restore_that_fails_leaves_an_empty_folder_that_needs_no_force(
    index: LocalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create_backup(source(index), tmp_path / "backups")
    target = tmp_path / "elsewhere"

    def full(*_: object, force: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(restore, "_write_index", full)
    with pytest.raises(StorageError, match="free some disk space"):
        restore_backup(made, settings_of(target))
    monkeypatch.undo()
    assert [path.name for path in target.iterdir()] == ["lock"]
    restore_backup(made, settings_of(target))


def test_what_a_killed_restore_had_replaced_is_deleted(
    index: LocalIndex, folder: Path, films: dict[str, list[Embedding]], tmp_path: Path
) -> None:
    index.delete_videos(["a"])
    made = create_backup(source(index), tmp_path / "backups")
    index.close()
    restore_backup(made, settings_of(folder), force=True)
    # As a process leaves it that is killed before it deletes what it replaced.
    (folder / data_dir.REPLACED).mkdir()
    (folder / data_dir.REPLACED / "piece").write_bytes(films["a"][0].vector.tobytes())
    with reopened(folder):
        assert holds(folder, films["a"][0]) == []


def test_a_file_that_is_not_of_the_backup_is_left_alone(index: LocalIndex, tmp_path: Path) -> None:
    made = create_backup(source(index), tmp_path / "backups")
    (made / "embeddings" / ".DS_Store").write_bytes(b"of something else")
    assert damage(made) == []
    restore_backup(made, settings_of(tmp_path / "elsewhere"))
    assert len(list(BackupSource.open(made).videos())) == 3


@pytest.mark.parametrize("store", ["local", "qdrant"])
def test_a_backup_is_restored_into_another_store(
    index: LocalIndex,
    tmp_path: Path,
    films: dict[str, list[Embedding]],
    monkeypatch: pytest.MonkeyPatch,
    store: str,
) -> None:
    made = create_backup(source(index), tmp_path / "backups")
    stored, other = everything(index), tmp_path / "elsewhere"
    monkeypatch.setattr(Nodes, "connect", lambda _: Nodes.local(tmp_path / "qdrant"))
    chosen = {"mirror": "local"} if store == "local" else {"backend": "qdrant"}
    settings = settings_of(other, **chosen)
    restore_backup(made, settings)
    kind = LocalIndex if store == "local" else QdrantIndex
    with kind.open_writer(other, FolderManifest("test", MODEL_ID, store), settings) as again:
        assert everything(again) == stored
        queries = np.stack([one.vector for one in films["c"]])
        assert [hits[0].ref for hits in again.search(queries, 1)] == [one.ref for one in films["c"]]
        # And from there back.
        back = create_backup(source(again), tmp_path / "back")
    with pytest.raises(DataFolderError):
        restore_backup(made, settings)
    restore_backup(back, settings_of(tmp_path / "home"))
    with reopened(tmp_path / "home") as home:
        assert everything(home) == stored


def test_a_further_generation_is_restored_as_one(
    tmp_path: Path, films: dict[str, list[Embedding]]
) -> None:
    inner = tmp_path / "data" / "generations" / "g2"
    with LocalIndex.open_writer(inner, MANIFEST, SETTINGS) as index:
        write(index, films["a"])
        made = create_backup(
            Source(index, tmp_path / "data", "g2", state_is_elsewhere=False), tmp_path / "backups"
        )
    other = tmp_path / "elsewhere"
    restore_backup(made, settings_of(other))
    assert current_generation(other) == "g2"
    with reopened(other / "generations" / "g2") as again:
        assert set(searchable(again)) == {"a"}


def test_old_backups_go_and_one_that_fails_leaves_nothing(
    index: LocalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "backups"
    made = [create_backup(source(index), target, keep=2) for _ in range(3)]
    assert backups_in(target) == made[:0:-1]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(create, "write_embeddings", full)
    with pytest.raises(StorageError, match="No space left"):
        create_backup(source(index), target, keep=1)
    monkeypatch.undo()
    with pytest.raises(CancelledError):
        create_backup(source(index), target, keep=1, stop=lambda: True)
    assert sorted(target.iterdir()) == sorted(made[1:])
