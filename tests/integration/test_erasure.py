"""A deleted video is nowhere: the receipt looks everywhere; after compaction no file has its bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from common.errors import StorageError, StoryHashError
from common.settings import Settings
from common.state.state import State
from common.thumbnails import Thumbnail
from common.types import Embedding
from searcher.backup.create import Source, create_backup
from searcher.deletion.receipt import Place, erasure_receipt
from searcher.local_index import LocalIndex
from searcher.log.drop_staged import drop_staged
from storyhash.cli import app
from tests.support.embeddings import video
from tests.support.index_writer import MANIFEST, SETTINGS, row
from tests.unit.common.state.test_matches import match
from tests.unit.searcher.log.test_consumer import feed, searchable

GONE = "secret-film"
PLACES = (
    *("catalogue", "shard", "mirror", "snapshots", "staging", "thumbnails", "uploads"),
    *("matches", "other matches", "exceptions", "jobs", "webhooks", "answers", "backups"),
)


def write(index: LocalIndex, points: list[Embedding]) -> None:
    ref = points[0].ref
    index.replace_video(
        replace(row(ref.video_id, ref.version), title=f"title of {ref.video_id}"), points
    )


def run(*arguments: str | Path) -> tuple[int, Any]:
    done = CliRunner().invoke(app, ["videos", *map(str, arguments), "--json"])
    if isinstance(done.exception, StoryHashError):
        return done.exception.exit_code, str(done.exception)
    return done.exit_code, json.loads(done.stdout)


def picture_of(points: list[Embedding]) -> bytes:
    return f"a thumbnail of {points[0].ref.video_id}".encode()


def files_with(folder: Path, points: list[Embedding]) -> list[str]:
    """Files with bytes of one of these vectors, of their frame codes, of the video's title or of its
    thumbnail."""
    wanted = [f"title of {points[0].ref.video_id}".encode(), picture_of(points)]
    for one in points:
        wanted.append(one.vector.astype("<f4").tobytes()[:64])
        if len(one.frames):
            wanted.append(one.frames.tobytes()[:64])
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(one in path.read_bytes() for one in wanted)
    ]


def test_the_receipt_finds_a_video_everywhere_it_is(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    data, backups = tmp_path / "data", tmp_path / "backups"
    with (
        LocalIndex.open_writer(data, MANIFEST, SETTINGS) as index,
        State(Settings(data_dir=data)) as state,
    ):
        write(index, video(rng, GONE, 4))
        write(index, video(rng, "kept", 3))
        feed(index, *video(rng, GONE, 2, version=9))
        state.matches.record([match("a query", GONE)])
        create_backup(Source(index, data, "", state_is_elsewhere=False), backups)
        before = erasure_receipt(index, GONE, state, backups)
        assert [one.place for one in before.places] == list(PLACES)
        assert {one.place: one.found for one in before.places if one.found} == {
            "catalogue": 1,
            "shard": 4,
            "mirror": 4,
            "staging": 1,
            "matches": 1,
            "backups": 1,
        }
        assert not before.erased
        index.delete_videos([GONE])
        state.matches.forget_video(GONE)
        after = erasure_receipt(index, GONE, state, backups)
        # What is still sent of it, and the older backup, are seen.
        assert [one for one in after.places if one.found] == [
            Place("staging", "incomplete versions", 1),
            Place("backups", "backups with it", 1),
        ]
        # Giving up a version leaves a failed video, which is deleted too.
        drop_staged(index, GONE, 9)
        assert not erasure_receipt(index, GONE, state, None).erased
        index.delete_videos([GONE])
        last = erasure_receipt(index, GONE, state, None)
        assert last.erased
        assert "audit log" in last.kept
        assert not erasure_receipt(index, "kept", state, None).erased


def test_the_receipt_of_an_id_that_was_never_indexed_claims_no_deletion(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    with LocalIndex.open_writer(tmp_path, MANIFEST, SETTINGS) as index:
        write(index, video(rng, "film.mp4", 2))
    code, receipt = run("erasure", "flim.mp4", "--data", tmp_path)
    assert (code, receipt["erased"], receipt["kept"]) == (0, True, {})


def test_after_compaction_no_file_has_the_bytes_of_a_deleted_video(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    data = tmp_path / "data"
    gone, kept = video(rng, GONE, 6), video(rng, "kept", 9)
    with LocalIndex.open_writer(data, MANIFEST, SETTINGS) as index:
        write(index, gone)
        write(index, kept)
        for points in (gone, kept):
            pictures = index.thumbnails.begin(points[0].ref.video_id)
            pictures.add([Thumbnail(0.0, picture_of(points))])
            pictures.finish()
        index.save_snapshot()
    assert run("erasure", GONE, "--data", data)[0] == 1
    assert run("delete", GONE, "--data", data)[0] == 0
    code, receipt = run("erasure", GONE, "--data", data)
    assert (code, receipt["erased"]) == (0, True)
    # A deletion alone leaves bytes in the files of the mirror: this test can see them.
    assert files_with(data, gone)
    assert run("compact", "--data", data)[0] == 0
    assert files_with(data, gone) == []
    assert files_with(data, kept)
    with LocalIndex.open_writer(data, MANIFEST, SETTINGS) as index:
        assert index.notices == []
        assert searchable(index) == {"kept": (1, 9)}
        assert len(index.segments_of("kept")) == 9


@pytest.mark.parametrize("point", ["copy", "between", "after"])
def test_a_compaction_that_is_cut_short_loses_nothing(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    data = tmp_path / "data"
    kept = video(rng, "kept", 5)
    rename = Path.rename

    def cut(path: Path, target: Path) -> Path:
        if point == "between" and path.name == "mirror.new":
            raise KeyboardInterrupt
        return rename(path, target)

    with LocalIndex.open_writer(data, MANIFEST, SETTINGS) as index:
        write(index, kept)
        monkeypatch.setattr(Path, "rename", cut)
        if point == "copy":
            monkeypatch.setattr(index.mirror, "count", lambda: 99)
        if point == "after":
            monkeypatch.setattr("searcher.mirror.compaction.shutil.rmtree", _only_new)
        with pytest.raises((KeyboardInterrupt, StorageError)):
            index.compact()
        monkeypatch.undo()
    with LocalIndex.open_writer(data, MANIFEST, SETTINGS) as again:
        assert again.notices == []
        assert len(again.segments_of("kept")) == 5
    assert [path.name for path in data.glob("mirror*")] == ["mirror"]


def _only_new(path: Path, *, ignore_errors: bool = False) -> None:
    """The old mirror cannot be deleted any more."""
    if not ignore_errors:
        raise KeyboardInterrupt
