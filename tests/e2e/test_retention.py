"""Segments that expire while no embedder runs, on a real broker: told, and brought back."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

from kafka import KafkaAdminClient, TopicPartition

from tests.e2e.conftest import draw
from tests.faults.stream import Topics, all_ready, delete, deployment_of, rows
from tests.support.services import Deployment, wait_until, write_manifest

_SECONDS = 600.0


def _expire(deployment: Deployment, topic: str) -> int:
    """Delete all that lies in a topic, as retention does; how much that was."""
    servers = deployment.settings["STORYHASH_KAFKA__BOOTSTRAP_SERVERS"]
    admin = KafkaAdminClient(bootstrap_servers=servers)
    transport = Topics(deployment).transport
    try:
        ends = transport.ends(topic)
        left = transport.overdue(topic, f"{deployment.prefix}.embeddings.embedder", 10**15)
        admin.delete_records({TopicPartition(topic, n): end for n, end in ends.items()})
    finally:
        admin.close()
        transport.close()
    return left


def _ingest(deployment: Deployment, manifest: Path, *options: str) -> dict[str, object]:
    run = deployment.run(
        "ingest", manifest, "--data", deployment.folder / "producer", "--json", *options
    )
    assert run.returncode == 0, run.stderr
    told: dict[str, object] = json.loads(run.stdout)
    return told


def test_segments_that_expired_unread_are_told_and_reconciling_brings_their_videos(
    kafka: str, tmp_path: Path
) -> None:
    films = [draw(tmp_path / f"{number}.mp4", number, 4.0) for number in range(3)]
    with deployment_of(
        tmp_path, kafka, f"expired-{uuid.uuid4().hex[:6]}", preloaded=True
    ) as deployment:
        deployment.create_topics()
        searcher = deployment.searcher()
        embedder = deployment.embedder()
        before = write_manifest(tmp_path / "before.jsonl", films[:1], copies=2)
        _ingest(deployment, tmp_path / "before.jsonl")
        wait_until(lambda: searcher.running and all_ready(searcher, before), "the first", _SECONDS)
        assert embedder.stop() == 0
        names = write_manifest(tmp_path / "all.jsonl", films, copies=2)
        assert _ingest(deployment, tmp_path / "all.jsonl")["sent"] == len(names) - len(before)
        gone, _ = before
        assert delete(searcher, gone) == 204
        lost = _expire(deployment, f"{deployment.prefix}.segments")
        assert lost > 0
        again = deployment.embedder(2)
        topic = f"{deployment.prefix}.segments"

        def told() -> float:
            return again.metric("storyhash_expired_messages_total", topic=topic)

        again.ready()
        wait_until(lambda: told() == lost, "the gap to be told", _SECONDS)
        assert "expired before group" in again.text()
        # To the producer all of it is sent, and nothing waits to be embedded.
        assert _ingest(deployment, tmp_path / "all.jsonl")["sent"] == 0
        assert not set(names) - set(before) & rows(searcher).keys()
        options = ("--reconcile", "--server", searcher.url)
        report = _ingest(deployment, tmp_path / "all.jsonl", *options)
        assert set(report["lacking"]) == set(names) - set(before)  # type: ignore[call-overload]
        assert (report["deleted"], report["sent"]) == ([gone], len(names) - len(before))
        wanted = [name for name in names if name != gone]
        wait_until(lambda: all_ready(searcher, wanted), "what was lost", _SECONDS)
        assert gone not in rows(searcher)
        time.sleep(0.5)
        report = _ingest(deployment, tmp_path / "all.jsonl", *options)
        assert (report["lacking"], report["sent"], report["unchanged"]) == ([], 0, len(wanted))
