"""The mirror over a Qdrant server: its calls go through the nodes."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from common.errors import DependencyError, ModelMismatchError
from searcher.mirror.qdrant_client import QdrantClientMirror
from searcher.qdrant import nodes
from searcher.qdrant.nodes import Nodes
from tests.support.embeddings import MODEL_ID, video


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> QdrantClientMirror:
    """Qdrant's local mode; repeated calls follow at once."""
    monkeypatch.setattr(nodes, "_FIRST_PAUSE_SECONDS", 0.0)
    return QdrantClientMirror(Nodes.local(tmp_path), "films", MODEL_ID)


def refusing(monkeypatch: pytest.MonkeyPatch, status: int, times: int) -> list[int]:
    """The server answers so many counts with this status; returns the calls."""
    calls: list[int] = []
    count = QdrantClient.count

    def answer(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) <= times:
            raise UnexpectedResponse(status, "refused", b"", httpx.Headers())
        return count(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(QdrantClient, "count", answer)
    return calls


def test_a_server_error_is_retried(
    mirror: QdrantClientMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = refusing(monkeypatch, 503, 2)
    assert mirror.count() == 0
    assert len(calls) == 3


@pytest.mark.parametrize(("status", "expected"), [(503, 4), (400, 1)])
def test_what_stays_refused_is_an_error_of_ours(
    mirror: QdrantClientMirror, monkeypatch: pytest.MonkeyPatch, status: int, expected: int
) -> None:
    calls = refusing(monkeypatch, status, 100)
    with pytest.raises(DependencyError, match=f"answered.*{status}"):
        mirror.count()
    assert len(calls) == expected


def test_a_node_that_lacks_points_is_not_read(rng: np.random.Generator) -> None:
    """A node that was paused must not make the mirror look empty."""
    behind, ahead = QdrantClient(":memory:"), QdrantClient(":memory:")
    QdrantClientMirror(Nodes.of(behind, "behind"), "films", MODEL_ID)
    written = video(rng, "a", 5)
    QdrantClientMirror(Nodes.of(ahead, "ahead"), "films", MODEL_ID).upsert(written)
    both = Nodes([*Nodes.of(behind, "behind").nodes, *Nodes.of(ahead, "ahead").nodes])
    mirror = QdrantClientMirror(both, "films", MODEL_ID)
    for only in (None, ["a"]):
        both.preferred = both.nodes[0]
        assert mirror.count() == 5
        both.preferred = both.nodes[0]
        found = [one.ref for batch in mirror.scan(only) for one in batch]
        assert sorted(found) == [one.ref for one in written]
    mirror.close()


def test_a_collection_of_something_else_is_refused(tmp_path: Path) -> None:
    nodes = Nodes.local(tmp_path)
    other = models.VectorParams(size=128, distance=models.Distance.COSINE)
    nodes.ask(lambda client: client.create_collection("films", vectors_config=other))
    with pytest.raises(ModelMismatchError, match=r"films.*STORYHASH_QDRANT__COLLECTION"):
        QdrantClientMirror(nodes, "films", MODEL_ID)
    nodes.close()
