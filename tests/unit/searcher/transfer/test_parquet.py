"""The file of a catalogue: read by other tools, complete or absent, and never trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from common.errors import CorruptIndexError, UsageError
from common.settings import Settings
from common.types import GRAPH_DIMENSION, VECTOR_DIMENSION
from searcher.backup.create import Source, create_backup
from searcher.index_transaction import CompleteVideo
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from searcher.transfer.exporting import export_catalogue
from searcher.transfer.importing import import_catalogue
from searcher.transfer.parquet import catalogue_writer, read_header, read_rows, read_videos
from searcher.transfer.sources import BackupSource, IndexSource
from tests.support.embeddings import MODEL_ID, video

# pyarrow has no types.
Table: TypeAlias = Any


@pytest.fixture
def file(tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / "catalogue.parquet"
    with catalogue_writer(path, "test", MODEL_ID, "", "1.0") as writer:
        for name in ("a", "b"):
            row = Video(name, f"/{name}", version=1, segments=3, state="ready")
            writer.write([CompleteVideo(row, video(rng, name, 3))])
    return path


def spoilt(file: Path, change: Callable[[Table], Table], **described: Any) -> Path:
    """The file with a change, and its own description or another one."""
    table = parquet.read_table(file)
    told = json.loads(parquet.ParquetFile(file).metadata.metadata[b"storyhash"]) | described
    path = file.with_name("spoilt.parquet")
    changed = change(table)
    with parquet.ParquetWriter(path, changed.schema) as writer:
        writer.write_table(changed)
        writer.add_key_value_metadata({b"storyhash": json.dumps(told).encode()})
    return path


def retyped(table: Table, name: str, values: list[Any]) -> Table:
    """The table with a column of the type of these values."""
    return table.set_column(table.schema.get_field_index(name), name, pyarrow.array(values))


def put(table: Table, name: str, values: list[Any]) -> Table:
    at = table.schema.get_field_index(name)
    return table.set_column(
        at, table.schema.field(name), pyarrow.array(values, table.schema.types[at])
    )


def test_other_tools_read_vectors_and_videos(file: Path) -> None:
    table = parquet.read_table(file)
    assert table["video_id"].to_pylist() == ["a"] * 3 + ["b"] * 3
    assert table["start_seconds"].to_pylist() == [0.0, 4.0, 8.0] * 2
    norms = np.linalg.norm(np.array(table["vector"].to_pylist()), axis=1)
    np.testing.assert_allclose(norms, 1.0, atol=1e-5)
    described = [json.loads(text) for text in table["video"].to_pylist() if text]
    assert [one["video_id"] for one in described] == ["a", "b"]


def test_rows_are_read_without_vectors_and_videos_whole(file: Path) -> None:
    assert [row.video_id for row in read_rows(file)] == ["a", "b"]
    assert [len(one.embeddings) for one in read_videos(file)] == [3, 3]
    assert read_header(file).segments == 6


def test_a_file_that_was_not_finished_does_not_exist(file: Path, rng: np.random.Generator) -> None:
    before = file.read_bytes()
    film = CompleteVideo(Video("c", "/c", version=1, segments=1), video(rng, "c", 1))

    def write_half() -> None:
        with catalogue_writer(file, "test", MODEL_ID, "", "1.0") as writer:
            writer.write([film])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda table: table.slice(0, 5), "b has 2 different segments, not 3"),
        (lambda table: table.slice(3), "it has 1 videos and 3 segments, not 2 and 6"),
        (lambda table: table.slice(1), "is of another video"),
        (lambda table: put(table, "video_id", ["a"] * 2 + ["b"] * 4), "is of another video"),
        (
            lambda table: put(put(table, "start_seconds", [0.0] * 6), "end_seconds", [4.0] * 6),
            "a has 1 different segments, not 3",
        ),
        (lambda table: put(table, "end_seconds", [0.0] * 6), "expected 0 <= start_seconds"),
        (lambda table: put(table, "frames", [b"1"] * 6), "multiple of 64"),
        (lambda table: put(table, "vector", [[2.0] * VECTOR_DIMENSION] * 6), "expected norm 1"),
        (lambda table: put(table, "graph", [[math.nan] * GRAPH_DIMENSION] * 6), "graph has values"),
        (
            lambda table: put(table, "vector", [None, *table["vector"].to_pylist()[1:]]),
            "empty values",
        ),
        (lambda table: retyped(table, "vector", ["x"] * 6), "is damaged"),
        (lambda table: table.drop_columns(["frames"]), "frames"),
        (lambda table: put(table, "video", ["[]"] + [None] * 5), "is damaged"),
        (lambda table: put(table, "video", ['{"video_id": 5}'] + [None] * 5), "is damaged"),
    ],
)
def test_damage_is_found_and_named(file: Path, change: Callable[[Table], Table], why: str) -> None:
    with pytest.raises(CorruptIndexError, match=why):
        list(read_videos(spoilt(file, change)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("segments", "3"),
        ("uninformative_segments", "0"),
        ("uninformative_segments", 1),
        ("duration_seconds", "12"),
        ("duration_seconds", math.nan),
        ("duration_seconds", -1.0),
        ("metadata", ["a"]),
        ("metadata", "a"),
        ("state", "pending"),
        ("indexed_at", 5),
        ("error_code", 5),
    ],
)
def test_a_row_that_was_changed_is_found_and_named(file: Path, name: str, value: object) -> None:
    def change(table: Table) -> Table:
        first, *rest = table["video"].to_pylist()
        return put(table, "video", [json.dumps(json.loads(first) | {name: value}), *rest])

    with pytest.raises(CorruptIndexError, match=r"is damaged \(.*; export the catalogue again"):
        list(read_videos(spoilt(file, change)))


def test_another_file_is_no_catalogue(file: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.parquet"
    text.write_text("a,b")
    with pytest.raises(UsageError, match="no complete Parquet file"):
        read_header(text)
    parquet.write_table(pyarrow.table({"a": [1]}), text)
    with pytest.raises(UsageError, match="is no catalogue"):
        read_header(text)
    with pytest.raises(UsageError, match="file not found"):
        read_header(tmp_path / "missing.parquet")
    with pytest.raises(UsageError, match="format 2"):
        read_header(spoilt(file, lambda table: table, format=2))
    with pytest.raises(CorruptIndexError, match="description is damaged"):
        read_header(spoilt(file, lambda table: table, colour="blue"))


def test_without_pyarrow_the_extra_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"\[parquet\]"):
        read_header(file)


def test_a_backup_is_exported_as_the_index_is(tmp_path: Path, rng: np.random.Generator) -> None:
    manifest = FolderManifest("test", MODEL_ID)
    film = video(rng, "a", 4)
    with LocalIndex.open_writer(tmp_path / "data", manifest, Settings()) as index:
        index.replace_video(Video("a", "https://u:p@host/a?key=1", version=1), film)
        backup = create_backup(Source(index, tmp_path / "data", "", False), tmp_path / "backups")
        export_catalogue(IndexSource(index), tmp_path / "index.parquet")
    export_catalogue(BackupSource.open(backup), tmp_path / "backup.parquet")
    (mine,), (saved,) = (
        list(read_videos(tmp_path / f"{name}.parquet")) for name in ("index", "backup")
    )
    assert saved.video == mine.video
    # What only fetching needed is in neither.
    assert mine.video.uri == "https://host/a"
    assert [one.ref for one in saved.embeddings] == [one.ref for one in film]


def test_a_video_that_lacks_segments_is_left_out_and_named(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    manifest = FolderManifest("test", MODEL_ID)
    with LocalIndex.open_writer(tmp_path / "data", manifest, Settings()) as index:
        for name in ("a", "b"):
            index.replace_video(Video(name, f"/{name}", version=1), video(rng, name, 2))
        row = index.videos.get("a")
        assert row is not None
        index.videos.commit(replace(row, segments=3))
        source = IndexSource(index)
        header = export_catalogue(source, tmp_path / "some.parquet")
    assert (header.videos, source.incomplete) == (1, ["a"])
    with LocalIndex.open_writer(tmp_path / "new", manifest, Settings()) as index:
        assert import_catalogue(tmp_path / "some.parquet", index).videos == 1


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="is a folder; give the name of a file"),
        catalogue_writer(tmp_path, "test", MODEL_ID, "", "1.0"),
    ):
        pass
