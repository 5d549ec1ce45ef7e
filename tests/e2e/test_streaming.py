"""Services over a real Kafka, as processes: what they promise, each promise tried once. `scripts/faults`
tries them for longer and harder."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.messaging.dead_letters import read_dead_letters
from common.messaging.events import VideoEnd
from common.messaging.transport import Message
from common.messaging.wire import Envelope, to_message
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry, Float32Array, Segment
from ingest.clip_packer import produce
from tests.e2e.conftest import draw
from tests.faults.kill_processes import Chain
from tests.faults.stream import (
    Topics,
    all_ready,
    delete,
    deployment_of,
    not_once,
    query_vectors,
    rows,
    start_all,
)
from tests.support.searcher import Answers, answers_of
from tests.support.services import Deployment, Service, wait_until, write_manifest

_SECONDS = 600.0
_K = 40


@dataclass(frozen=True)
class Streamed:
    """A catalogue that went through two embedders undisturbed; its services still run."""

    deployment: Deployment
    manifest: Path
    names: list[str]
    vectors: Float32Array
    answers: Answers

    @property
    def searcher(self) -> Service:
        return self.deployment.services["searcher"]

    def ask(self, searcher: Service) -> Answers:
        return answers_of(searcher, self.vectors, self.names[:3], k=_K)


@pytest.fixture(scope="module")
def streamed(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streamed]:
    folder = tmp_path_factory.mktemp("streaming")
    films = [draw(folder / f"{number}.mp4", number, 4.0 * (1 + number % 3)) for number in range(4)]
    names = write_manifest(folder / "catalogue.jsonl", films, copies=2)
    with deployment_of(folder, kafka, _prefix("calm"), preloaded=True) as deployment:
        start_all(deployment)
        assert deployment.producer(folder / "catalogue.jsonl").wait(_SECONDS) == 0
        searcher = deployment.services["searcher"]
        wait_until(lambda: all_ready(searcher, names), "every video", _SECONDS)
        vectors = query_vectors(Topics(deployment).embeddings())
        made = Streamed(
            deployment,
            folder / "catalogue.jsonl",
            names,
            vectors,
            answers_of(searcher, vectors, names[:3], k=_K),
        )
        yield made


def test_every_segment_of_every_video_is_searchable_once_and_its_match_is_told(
    streamed: Streamed,
) -> None:
    topics = Topics(streamed.deployment)
    assert streamed.answers.segments == 2 * sum(1 + number % 3 for number in range(4))
    assert not_once(streamed.searcher, topics.embeddings()) == []
    # Every film is there twice, so each is a copy of the other.
    assert {decision for decision, _ in streamed.answers.matches.values()} == {"copy"}
    wait_until(lambda: topics.matches().keys() == {*streamed.names}, "the matches", pause=0.5)


def test_what_services_were_killed_over_is_as_if_they_were_not(
    streamed: Streamed, tmp_path: Path
) -> None:
    servers = streamed.deployment.settings["STORYHASH_KAFKA__BOOTSTRAP_SERVERS"]
    small = {"STORYHASH_SERVICE__BATCH_MESSAGES": "10"}
    with deployment_of(tmp_path, servers, _prefix("killed"), preloaded=True, **small) as deployment:
        deployment.create_topics()
        producer = ("ingest", streamed.manifest, "--data", tmp_path / "producer", "--json")
        chains = [
            Chain(deployment, "producer", producer, [("sent-in-part", 9)]),
            Chain(deployment, "embedder-1", ["embed"], [("embeddings-published", 1)]),
            Chain(
                deployment,
                "searcher",
                ["search", "--data", tmp_path / "data"],
                [("mirror-flushed", 1), ("rows-committed", 1)],
            ),
        ]
        for chain in chains:
            chain.start()
        for chain in chains:
            chain.join()
            assert chain.lived == [], "everyone dies where it should"
        searcher = deployment.services["searcher"]
        wait_until(lambda: all_ready(searcher, streamed.names), "every video", _SECONDS)
        topics = Topics(deployment)
        assert not_once(searcher, topics.embeddings()) == []
        assert streamed.answers.differences(streamed.ask(searcher)) == []
        told = {*streamed.names}
        wait_until(lambda: topics.matches().keys() == told, "the matches", pause=0.5)


def test_a_video_deleted_while_it_is_under_way_never_comes(
    streamed: Streamed, tmp_path: Path
) -> None:
    deployment = streamed.deployment
    embedders = [deployment.services[f"embedder-{number}"] for number in (1, 2)]
    for embedder in embedders:
        embedder.pause()
    films = [
        draw(tmp_path / name, 50 + number, 8.0) for number, name in enumerate(("a.mp4", "b.mp4"))
    ]
    producer = deployment.producer(*films, name="late")
    assert producer.wait(_SECONDS) == 0
    # Nothing is known of it yet, and still it is deleted.
    assert delete(streamed.searcher, "a.mp4") == 404
    for embedder in embedders:
        embedder.resume()
    wait_until(lambda: all_ready(streamed.searcher, ["b.mp4"]), "what was not deleted", _SECONDS)
    wait_until(lambda: _is_level(deployment), "everything to be taken in", _SECONDS)
    assert "a.mp4" not in rows(streamed.searcher)
    assert delete(streamed.searcher, "b.mp4") == 204
    assert "b.mp4" not in rows(streamed.searcher)


def test_a_damaged_segment_is_set_aside_its_video_goes_on_and_a_replay_brings_it_back(
    streamed: Streamed, tmp_path: Path
) -> None:
    deployment = streamed.deployment
    topics = Topics(deployment)
    entry = CatalogEntry("poison", str(draw(tmp_path / "poison.mp4", 60, 12.0)))
    made = produce(entry, Path(entry.uri), 7, VideoSettings(short_side=128), IngestSettings())
    segments = [one for one in made if isinstance(one, Segment)]
    damaged = replace(segments[1], clip=segments[1].clip[:100])
    end = VideoEnd(entry, 7, "complete", 12.0, 3)
    events = (segments[0], damaged, segments[2], end)
    _publish(
        topics,
        Message(topics.names.segments, b"noise", b"no message", partition=0),
        *(to_message(topics.names.segments, Envelope(event)) for event in events),
    )

    def open_letters() -> set[str]:
        letters = read_dead_letters(topics.transport, topics.names.dead_letters)
        return {one.letter_id for one in letters if not one.replayed}

    wait_until(lambda: all_ready(streamed.searcher, ["poison"]), "the rest of it", _SECONDS)
    wait_until(lambda: len(open_letters()) == 2, "dead letters", _SECONDS)
    row = rows(streamed.searcher)["poison"]
    assert (row["segments"], row["error"]["code"]) == (2, "segments_missing")
    before = open_letters()
    listed = json.loads(deployment.run("dead-letters", "list", "--json").stdout)["items"]
    assert {one["id"] for one in listed} == before
    assert {one["reason"] for one in listed} == {"unreadable", "wire"}
    # What is damaged stays so: replayed it comes back, as another letter.
    replayed = deployment.run("dead-letters", "replay", "--all", "--json")
    assert {*json.loads(replayed.stdout)["replayed"]} == before
    wait_until(lambda: len(open_letters()) == 2, "the letters to come back", _SECONDS)
    assert not open_letters() & before
    # The segment as it was before it was damaged is what a fix would make of it.
    _publish(topics, to_message(topics.names.segments, Envelope(segments[1])))
    wait_until(lambda: rows(streamed.searcher)["poison"]["segments"] == 3, "the segment", _SECONDS)
    assert "error" not in rows(streamed.searcher)["poison"]


def _publish(topics: Topics, *messages: Message) -> None:
    publisher = topics.transport.publisher()
    for message in messages:
        publisher.publish(message)
    publisher.flush()
    publisher.close()


def test_a_searcher_is_the_same_from_snapshot_and_log_from_the_log_and_from_the_mirror(
    streamed: Streamed,
) -> None:
    deployment, data = streamed.deployment, streamed.deployment.folder / "data"
    searcher = streamed.searcher
    before = rows(searcher)
    expected = streamed.ask(searcher)
    wait_until(lambda: any((data / "snapshots").iterdir()), "a snapshot", _SECONDS)
    searcher.kill()
    _check(searcher.start(), streamed, expected, before)
    searcher.kill()
    searcher.gone()
    shutil.rmtree(data)
    _check(searcher.start(), streamed, expected, before)
    searcher.kill()
    searcher.gone()
    shutil.rmtree(data / "snapshots", ignore_errors=True)
    for file in data.glob("videos.sqlite*"):
        file.unlink()
    servers = deployment.settings["STORYHASH_KAFKA__BOOTSTRAP_SERVERS"]
    with deployment_of(deployment.folder, servers, _prefix("empty"), preloaded=True) as empty:
        empty.create_topics()
        alone = empty.service("searcher", "search", "--data", data)
        _check(alone, streamed, expected, before)


def _check(
    searcher: Service, streamed: Streamed, expected: Answers, before: dict[str, dict[str, Any]]
) -> None:
    searcher.ready()
    wait_until(lambda: all_ready(searcher, [*before]), "every video", _SECONDS)
    assert expected.differences(streamed.ask(searcher)) == []
    now = rows(searcher)
    for name, row in before.items():
        assert {**now[name], "indexed_at": ""} == {**row, "indexed_at": ""}


def _prefix(name: str) -> str:
    """Topics nobody has used: the broker may be one that was there before."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def _is_level(deployment: Deployment) -> bool:
    return not any(
        deployment.services[name].metric("storyhash_consumer_lag_messages")
        for name in ("embedder-1", "embedder-2", "searcher")
    )
