"""The index in a Qdrant server: one process indexes, and others answer without a data folder."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient

from tests.e2e.conftest import Settings, storyhash


def decided(answer: dict[str, Any]) -> dict[str, Any]:
    """What an answer says, without the words for numbers that differ in the last bit."""
    kept = [
        (one["video_id"], one["decision"], round(one["probability"], 3), one["view"])
        for one in answer["matches"]
        if one["decision"] != "no_match"
    ]
    return {"decision": answer["decision"], "matches": kept}


def test_a_machine_without_a_data_folder_gives_the_same_answers(
    films: Path, indexed: Path, tmp_path: Path, qdrant_url: str
) -> None:
    settings: Settings = {
        "STORYHASH_SEARCHER__BACKEND": "qdrant",
        "STORYHASH_QDRANT__URL": qdrant_url,
        "STORYHASH_QDRANT__COLLECTION": f"storyhash-test-{uuid.uuid4().hex}",
    }
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    client = QdrantClient(url=qdrant_url)
    try:
        refused = storyhash("match", films / "c.mov", "--data", elsewhere, **settings)
        assert refused.exit_code == 2
        run = storyhash("index", films, "--data", data, "--profile", "offline", **settings)
        assert run.exit_code == 0, run.stderr
        assert not (data / "mirror").exists()
        assert not (data / "snapshots").exists()
        asked = [films / "c.mov", films / "a.mp4"]
        there = storyhash("match", *asked, "--data", elsewhere, "--json", **settings)
        here = storyhash("match", *asked, "--data", indexed, "--json")
        assert there.exit_code == 0, there.stderr
        assert [decided(one) for one in there.lines] == [decided(one) for one in here.lines]
        assert [one["decision"] for one in there.lines] == ["copy", "copy"]
        assert not elsewhere.exists()
        gone = storyhash("videos", "delete", "c.mov", "--data", data, **settings)
        assert gone.exit_code == 0, gone.stderr
        listed = storyhash("videos", "list", "--data", elsewhere, "--json", **settings)
        assert "c.mov" not in {one["video_id"] for one in listed.json["items"]}
    finally:
        for kind in ("segments", "videos"):
            client.delete_collection(f"{settings['STORYHASH_QDRANT__COLLECTION']}-{kind}")
        client.close()
