"""One segment in a hundred is damaged, some messages are none, some come from a later release, and the
embedders have a flaw. All of that is set aside with its reason, the rest is indexed, and what a fix mends
is indexed when it is replayed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import msgpack

from common.messaging.events import VideoEnd
from common.messaging.transport import Message, ReceivedMessage
from common.messaging.wire import Envelope, to_message
from common.types import Segment
from tests.faults.compare_catalogues import SECONDS
from tests.faults.corrupt_messages import NO_MESSAGES, Sent, send_spoiled
from tests.faults.harness import Trial, run
from tests.faults.history import described
from tests.faults.stream import Topics, delete, deployment_of, not_once, rows
from tests.faults.videos import manifest, sources
from tests.kafka_broker import KafkaBroker
from tests.support.services import Deployment, wait_until

_SETTINGS: dict[str, Any] = {"STORYHASH_KAFKA__PARTITIONS": "4"}


def poison(trial: Trial) -> None:
    """The scenario."""
    work = manifest(trial.folder / "catalogue.jsonl", sources(trial), trial.size(2000, 300))
    with KafkaBroker(trial.folder / "kafka") as broker:
        servers = broker.bootstrap_servers
        with deployment_of(trial.folder, servers, "source", **_SETTINGS) as source:
            source.create_topics()
            producer = source.producer(work.path)
            if producer.wait(SECONDS):
                raise RuntimeError(producer.text())
            messages = list(Topics(source).messages(Topics(source).names.segments))
        with deployment_of(trial.folder, servers, "poison", **_SETTINGS) as deployment:
            deployment.create_topics()
            sent = send_spoiled(trial, deployment, messages)
            _set_aside(trial, deployment, sent)
            _mended(trial, deployment, sent)
            _log_poisoned(trial, deployment)


def _set_aside(trial: Trial, deployment: Deployment, sent: Sent) -> None:
    """What the flawed release makes of it."""
    for number in (1, 2):
        deployment.service(
            f"embedder-{number}", "embed", module=("tests.faults.command_variants", "flawed")
        )
    searcher = deployment.searcher().ready()
    wanted = {
        name: sent.expected(name, fixed=False) for name in sent.parts.keys() - sent.unfinished()
    }
    _wait(
        deployment,
        wanted,
        len(sent.corrupt) + len(sent.newer) + len(sent.flawed) + len(sent.strange),
    )
    found = rows(searcher)
    trial.promise(
        "a video that waits for a segment of a later release is not told of half",
        sorted(sent.unfinished() & {name for name, row in found.items() if row["segments"]}),
    )
    letters = _letters(deployment)
    trial.figures["reasons"] = dict(Counter(one["reason"] for one in letters))
    trial.promise(
        "every dead letter has its reason, its words and where it lay",
        [
            one["id"]
            for one in letters
            if not (one["reason"] and one["message"] and one["traceback_hash"])
            or one["stage"] != "embed"
            or f"{one['topic']}/{one['partition']}/{one['offset']}" != one["id"]
        ],
    )
    shown = {one["id"]: _shown(deployment, one["id"]) for one in letters[:8]}
    lies = {
        f"{one.topic}/{one.partition}/{one.offset}": one
        for one in Topics(deployment).messages(Topics(deployment).names.segments)
    }
    trial.promise(
        "a dead letter shows the message it is of",
        [
            name
            for name, told in shown.items()
            if told["key"] != lies[name].key.decode()
            or told["value_bytes"] != len(lies[name].value or b"")
            or told["headers"] != [[k, v.decode()] for k, v in lies[name].headers]
        ],
    )
    wrong = _wrong(trial, deployment, letters, lies, sent)
    trial.promise("exactly what is spoiled is set aside", wrong)
    trial.promise(
        "the rest is searchable exactly once", not_once(searcher, _searchable(deployment))
    )


def _wrong(
    trial: Trial,
    deployment: Deployment,
    letters: list[dict[str, Any]],
    lies: dict[str, ReceivedMessage],
    sent: Sent,
) -> list[str]:
    """How dead letters differ from what was spoiled."""
    expected = {
        **dict.fromkeys(sent.flawed, "internal"),
        **dict.fromkeys(sent.newer, "schema_version"),
    }
    left = {*sent.corrupt, *sent.newer, *sent.flawed, *sent.strange}
    wrong = []
    for one in letters:
        lay = lies[one["id"]]
        name = _name_of(lay)
        if name not in left:
            wrong.append(f"{one['id']} is {name}, which is sound or was set aside twice")
            continue
        left.remove(name)
        reason = expected.get(name)
        if reason is not None and one["reason"] != reason:
            wrong.append(f"{name}: {one['reason']}, not {reason}")
    return [*wrong, *(f"{name} is not set aside" for name in sorted(left))]


def _name_of(received: ReceivedMessage) -> str:
    """A segment's id, also of a release that is not known here; of anything else its key."""
    try:
        told = msgpack.unpackb(received.value or b"")
        start, end = (round(told[name] * 1000) for name in ("start_seconds", "end_seconds"))
        return f"{told['video_id']}@{start}-{end}"
    except Exception:
        return received.key.decode()


def _mended(trial: Trial, deployment: Deployment, sent: Sent) -> None:
    """A release without the flaw, that knows the later schema, and everything replayed."""
    lost = next(name for name in sorted(sent.parts) if sent.parts[name] & sent.flawed)
    delete(deployment.services["searcher"], lost)
    for number in (1, 2):
        deployment.services[f"embedder-{number}"].stop()
        deployment.service(
            f"embedder-{number}", "embed", module=("tests.faults.command_variants", "newer")
        )
    before = _letters(deployment)
    told = deployment.run("dead-letters", "replay", "--all", "--json")
    replayed = json.loads(told.stdout)["replayed"]
    trial.promise("everything is replayed", sorted({one["id"] for one in before} ^ {*replayed}))
    wanted = {name: sent.expected(name, fixed=True) for name in sent.parts if name != lost}
    _wait(deployment, wanted, len(sent.corrupt) + len(sent.strange))
    letters = _letters(deployment)
    names = {one["id"] for one in letters}
    trial.promise(
        "what cannot be mended comes back as a new dead letter", sorted(names & {*replayed})
    )
    trial.promise(
        "a deleted video does not come back by a replay",
        lost in rows(deployment.services["searcher"]),
    )
    trial.promise(
        "replayed letters stay listed as such",
        sorted(
            {*replayed}
            - {one["id"] for one in _letters(deployment, "--all") if one["state"] == "replayed"}
        ),
    )
    searcher = deployment.services["searcher"]
    trial.promise(
        "the rest is searchable exactly once", not_once(searcher, _searchable(deployment, lost))
    )
    trial.figures["left_after_the_replay"] = dict(Counter(one["reason"] for one in letters))


def _log_poisoned(trial: Trial, deployment: Deployment) -> None:
    """The log itself holds what the searcher cannot use: it sets that aside too, and goes on."""
    topics = Topics(deployment)
    searcher = deployment.services["searcher"]
    before, found = _letters(deployment), described(searcher)
    log = topics.names.embeddings
    sound = next(iter(topics.embeddings().values()))
    strange = [
        Message(log, b"noise", NO_MESSAGES["noise"], partition=1),
        to_message(log, Envelope(replace(sound, model_id="offline-000000000000"))),
        to_message(log, Envelope(Segment(sound.ref, b"a clip"))),
    ]
    publisher = topics.transport.publisher()
    for message in strange:
        publisher.publish(message)
    publisher.flush()
    publisher.close()
    wait_until(lambda: len(_letters(deployment)) >= len(before) + 3, "dead letters", 60, 0.5)
    known = {one["id"] for one in before}
    told = sorted(
        (one["stage"], one["reason"]) for one in _letters(deployment) if one["id"] not in known
    )
    wanted = [("search", "model_mismatch"), ("search", "wire"), ("search", "wire")]
    trial.promise("what the log should not hold is set aside", told != wanted)
    trial.promise("and changes nothing", described(searcher) != found)


def _searchable(deployment: Deployment, *lost: str) -> dict[str, Any]:
    """The log's segments of videos that are whole."""
    topics = Topics(deployment)
    ended = {
        one.video_id for one in topics.events(topics.names.embeddings) if isinstance(one, VideoEnd)
    }
    whole = {n for n, row in rows(deployment.services["searcher"]).items() if row["segments"]}
    log = topics.embeddings().items()
    return {k: v for k, v in log if v.ref.video_id in (ended & whole) - {*lost}}


def _wait(deployment: Deployment, wanted: dict[str, int], letters: int) -> None:
    """Until videos have so many segments, and so many dead letters are open."""
    searcher = deployment.services["searcher"]

    def there() -> bool:
        found = rows(searcher)
        return all(found.get(name, {}).get("segments") == count for name, count in wanted.items())

    wait_until(there, "every video with all it can have", SECONDS, 0.5)
    wait_until(lambda: len(_letters(deployment)) >= letters, f"{letters} dead letters", 60, 0.5)


def _letters(deployment: Deployment, *options: str) -> list[dict[str, Any]]:
    told = deployment.run("dead-letters", "list", "--json", "--limit", "100000", *options)
    return list(json.loads(told.stdout)["items"])


def _shown(deployment: Deployment, letter_id: str) -> dict[str, Any]:
    return dict(json.loads(deployment.run("dead-letters", "show", letter_id, "--json").stdout))


if __name__ == "__main__":
    run("poison", __doc__, poison)
