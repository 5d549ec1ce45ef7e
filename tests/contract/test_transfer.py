"""A catalogue is the same in every index that it is exported from or imported into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import ModelMismatchError, UsageError
from common.settings import Settings
from common.types import Embedding
from searcher.index.state import Filter
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from searcher.transfer.exporting import export_catalogue
from searcher.transfer.importing import import_catalogue
from searcher.transfer.sources import IndexSource
from searcher.video_index import VideoIndex
from tests.contract.test_segment_index import Open, reopen
from tests.support.embeddings import MODEL_ID, embedding, video

__all__ = ["reopen"]


@pytest.fixture
def films(rng: np.random.Generator) -> dict[str, list[Embedding]]:
    return {
        "a": video(rng, "a", 12),
        "shows/ü": video(rng, "shows/ü", 5, bank="shows", version=3),
        "partly dark": [*video(rng, "partly dark", 2), embedding("partly dark", 2, None)],
    }


def row_of(name: str, film: list[Embedding]) -> Video:
    return Video(
        name,
        f"/films/{name}",
        bank=film[0].ref.bank,
        title=f"Title of {name}",
        version=film[0].ref.version,
        duration_seconds=4.0 * len(film),
        metadata={"year": 1971, "nested": {"é": [1, None]}},
        root="/films",
        fingerprint=f"{name}:1",
    )


def faiss(folder: Path, model_id: str = MODEL_ID) -> LocalIndex:
    return LocalIndex.open_writer(folder, FolderManifest("test", model_id), Settings())


def fill(index: VideoIndex, films: dict[str, list[Embedding]]) -> None:
    for name, film in films.items():
        index.replace_video(row_of(name, film), film)


def check_same(index: VideoIndex, films: dict[str, list[Embedding]]) -> None:
    """What was written there is here: rows, segments, frame codes, graphs, answers and banks."""
    for name, film in films.items():
        row = index.videos.get(name)
        assert row is not None
        assert row.state == "ready"
        assert replace(row, indexed_at="") == replace(
            row_of(name, film),
            state="ready",
            segments=len(film),
            uninformative_segments=sum(not one.informative for one in film),
        )
        found = sorted(index.embeddings_of([row])[name], key=lambda one: one.ref)
        assert [one.ref for one in found] == [one.ref for one in film]
        for got, one in zip(found, film, strict=True):
            np.testing.assert_array_equal(got.vector, one.vector)
            np.testing.assert_array_equal(got.graph, one.graph)
            np.testing.assert_array_equal(got.frames, one.frames)
    (hits,) = index.search(films["a"][7].vector[None], 3)
    assert hits[0].ref == films["a"][7].ref
    (hits,) = index.search(films["a"][7].vector[None], 50, Filter(banks=frozenset({"shows"})))
    assert {hit.ref.video_id for hit in hits} == {"shows/ü"}


def test_a_catalogue_goes_to_another_index_and_back(
    reopen: Open, tmp_path: Path, films: dict[str, list[Embedding]]
) -> None:
    file, again = tmp_path / "catalogue.parquet", tmp_path / "again.parquet"
    with faiss(tmp_path / "source") as source:
        fill(source, films)
        header = export_catalogue(IndexSource(source), file, calibration="c1")
    assert (header.videos, header.segments) == (3, 20)
    assert (header.model_id, header.calibration) == (MODEL_ID, "c1")
    with reopen() as index:
        imported = import_catalogue(file, index)
        assert (imported.videos, imported.segments, imported.present) == (3, 20, 0)
        check_same(index, films)
        export_catalogue(IndexSource(index), again)
    with faiss(tmp_path / "back") as back:
        import_catalogue(again, back)
        check_same(back, films)


def test_an_import_that_was_cut_short_has_whole_videos_only_and_continues(
    reopen: Open, tmp_path: Path, films: dict[str, list[Embedding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searcher.transfer.parquet.ROWS_AT_ONCE", 4)
    file = tmp_path / "catalogue.parquet"
    with faiss(tmp_path / "source") as source:
        fill(source, films)
        export_catalogue(IndexSource(source), file)

    def cut(_: int) -> None:
        raise KeyboardInterrupt

    with reopen() as index, pytest.raises(KeyboardInterrupt):
        import_catalogue(file, index, done=cut)
    with reopen() as index:
        (first,) = index.videos.versions()
        assert len(index.vectors_of(first).refs) == len(films[first])
        imported = import_catalogue(file, index)
        assert (imported.videos, imported.present) == (2, 1)
        check_same(index, films)
        assert import_catalogue(file, index).present == 3


def test_what_does_not_belong_there_is_refused_before_anything_is_changed(
    reopen: Open, tmp_path: Path, films: dict[str, list[Embedding]], rng: np.random.Generator
) -> None:
    file, other = tmp_path / "catalogue.parquet", tmp_path / "other.parquet"
    with faiss(tmp_path / "source") as source:
        fill(source, films)
        export_catalogue(IndexSource(source), file)
    with faiss(tmp_path / "elsewhere", "another-model") as source:
        export_catalogue(IndexSource(source), other)
    with reopen() as index:
        mine = video(rng, "partly dark", 9)
        index.replace_video(row_of("partly dark", mine), mine)
        with pytest.raises(UsageError, match="other videos with these ids: partly dark; delete"):
            import_catalogue(file, index)
        with pytest.raises(ModelMismatchError, match="another-model"):
            import_catalogue(other, index)
        assert index.videos.versions() == {"partly dark": 1}


def test_a_video_that_was_deleted_there_comes_back(
    reopen: Open, tmp_path: Path, films: dict[str, list[Embedding]], rng: np.random.Generator
) -> None:
    file = tmp_path / "catalogue.parquet"
    with faiss(tmp_path / "source") as source:
        fill(source, films)
        export_catalogue(IndexSource(source), file)
    with reopen() as index:
        old = video(rng, "a", 2, version=5)
        index.replace_video(row_of("a", old), old)
        index.delete_videos(["a"])
        import_catalogue(file, index)
        assert index.videos.versions() == {"a": 6, "shows/ü": 3, "partly dark": 1}
        (hits,) = index.search(films["a"][7].vector[None], 1)
        assert hits[0].ref == replace(films["a"][7].ref, version=6)
        assert import_catalogue(file, index).present == 3
