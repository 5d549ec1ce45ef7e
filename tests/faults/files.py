"""Hundreds of odd and hostile files, made from a seed, through `index`, `match`, `serve` and an embedder.
No service dies, nothing hangs, memory stays under its bound, and each file has a result or one clear
line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from common.messaging.events import VideoEnd
from common.messaging.wire import Envelope, to_message
from common.printable import printable
from common.types import CatalogEntry, Segment, SegmentRef
from tests.faults.harness import Trial, run
from tests.faults.hostile import HostileInput, inputs
from tests.faults.hostile.documents import SECRET
from tests.faults.memory import MemoryWatch
from tests.faults.stream import Topics, deployment_of
from tests.faults.videos import draw
from tests.kafka_broker import KafkaBroker
from tests.support.services import ROOT, Deployment, Service, clean_environment, wait_until

# Resident memory, MiB, as "Limits" in docs/operations.md states it. An idle process holds some 300 with
# its models; a query may add 500, and a batch of segments that is embedded 768.
_IDLE_MIB = 300
PROCESS_MIB = {
    "match": _IDLE_MIB + 500,
    "index": _IDLE_MIB + 768,
    "embed": _IDLE_MIB + 768,
    # It answers queries, and embeds what it finds in the watched folder.
    "serve": _IDLE_MIB + 500 + 768,
}
# A decoder may add STORYHASH_VIDEO__MEMORY_MIB (1024) to what it starts with, some 200.
CHILD_MIB = 200 + 1024
# No command may take longer for one file, however loaded the machine is.
_FILE_SECONDS = 240.0
# Hours of film are hours of work for a busy machine: six took 308 s on two cores while the same film was
# being indexed.
_LONG_FILM_SECONDS = 1200.0
_MATCHED_AT_ONCE = 20
_LINE_LENGTH = 600
# A query and what is found for it; a refusal of what is no video.
_ANSWERS = {200, 400, 413, 415, 422}


@dataclass(frozen=True)
class _Folder:
    """The hostile files on disk, by path, and the film that no playlist may open."""

    path: Path
    files: dict[Path, HostileInput]
    sound: Path


def files(trial: Trial) -> None:
    """The scenario."""
    made = inputs(trial.seed, trial.size(300, 60))
    trial.say(f"{len(made)} files made")
    folder = _written(trial.folder / "films", made)
    trial.figures["files"] = len(folder.files)
    data = trial.folder / "data"
    for part, what in (("index", _index), ("match", _match), ("serve", _serve)):
        if trial.wants(part):
            what(trial, folder, data)
    if trial.wants("embed"):
        _embed(trial, made)


def _written(path: Path, made: Sequence[HostileInput]) -> _Folder:
    path.mkdir(parents=True, exist_ok=True)
    written = {}
    for one in made:
        file = path / os.fsdecode(one.name)
        # Written anew, it would count as changed in a folder that is kept.
        if not file.exists() or file.read_bytes() != one.content:
            file.write_bytes(one.content)
        written[file] = one
    # Beside the playlists that name it, but under a name that no folder lists.
    draw(path / ".hidden" / SECRET, 77, 4.0).replace(path / SECRET)
    sound = draw(path.parent / "sound.mp4", 77, 4.0)
    return _Folder(path, written, sound)


def _settings(trial: Trial) -> dict[str, str]:
    scratch = trial.folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return {
        "STORYHASH_PROFILE": "offline",
        "STORYHASH_HTTP__PORT": "0",
        "STORYHASH_INGEST__WORKERS": "1",
        "TMPDIR": str(scratch),
    }


@dataclass(frozen=True)
class _Run:
    exit_code: int
    stdout: str
    stderr: str
    memory: MemoryWatch


def _storyhash(trial: Trial, count: int, *arguments: str | Path) -> _Run:
    """One command to its end, watched."""
    process = subprocess.Popen(
        [sys.executable, "-m", "storyhash", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(_settings(trial)),
        cwd=ROOT,
    )
    with MemoryWatch(process.pid) as memory:
        try:
            out, err = process.communicate(timeout=60 + count * _FILE_SECONDS)
        finally:
            process.kill()
    decoded = (one.decode("utf-8", "replace") for one in (out, err))
    return _Run(process.returncode, *decoded, memory)


def _index(trial: Trial, folder: _Folder, data: Path) -> None:
    """The whole folder in one run, and again: then nothing is done twice."""
    ran = _storyhash(trial, len(folder.files), "index", folder.path, "--data", data, "--json")
    trial.figures["index"] = ran.memory.figures
    trial.promise("index ends in order", ran.exit_code not in (0, 1) or "Traceback" in ran.stderr)
    summary = json.loads(ran.stdout) if ran.stdout.strip() else {"failed": []}
    ready = {row["video_id"] for row in _rows(trial, data)}
    told = {one["video_id"]: one["message"] for one in summary["failed"]}
    trial.figures["index"] |= {"ready": len(ready), "told": len(told)}
    passed_over = summary.get("passed_over", [])
    trial.figures["index"]["passed over"] = sum(one["count"] for one in passed_over)
    untold = list(_untold(folder, ready, told, passed_over))
    trial.promise("index: every file has a row or a reason", untold)
    trial.promise("index: what is sound is indexed", list(_wrong(folder, ready, told)))
    trial.promise("index: reasons are one clear line", list(_unclear(told)))
    trial.promise("index: nothing raw reaches a terminal", list(_raw(ran.stderr)))
    _bounded(trial, "index", ran.memory)
    trial.say("index once more")
    again = _storyhash(trial, len(folder.files), "index", folder.path, "--data", data, "--json")
    trial.promise(
        "index: a second run indexes nothing anew", json.loads(again.stdout)["indexed"] > 0
    )


def _rows(trial: Trial, data: Path) -> list[dict[str, Any]]:
    ran = _storyhash(trial, 1, "videos", "list", "--data", data, "--json", "--limit", "10000")
    return [row for row in json.loads(ran.stdout)["items"] if row["state"] == "ready"]


def _untold(
    folder: _Folder, ready: set[str], told: dict[str, str], passed_over: list[dict[str, Any]]
) -> Iterator[str]:
    """Files without a row and without a reason. What is passed over is told by number: so many of a
    suffix, so many hidden."""
    counts: Counter[str] = Counter()
    for kind in passed_over:
        counts[kind["what"]] += kind["count"]
    # The folder of the film that no playlist may open.
    counts["hidden"] -= 1
    for path, one in folder.files.items():
        if path.name in ready or path.name in told or printable(path.name) in told:
            continue
        what = "hidden" if path.name.startswith(".") else path.suffix.lower() or "no suffix"
        counts[what] -= 1
        if counts[what] < 0:
            yield f"{one.kind}: {one.what} ({path.name!r})"


def _wrong(folder: _Folder, ready: set[str], told: dict[str, str]) -> Iterator[str]:
    for path, one in folder.files.items():
        if one.usable is True and path.name not in ready:
            yield f"not indexed: {one.kind}: {one.what}: {told.get(path.name, 'no word')}"
        if one.usable is False and path.name in ready:
            yield f"indexed: {one.kind}: {one.what}"


def _unclear(told: dict[str, str]) -> Iterator[str]:
    for name, message in told.items():
        lined = bool(message) and len(message) <= _LINE_LENGTH and message.isprintable()
        scratch = "/tmp/" in message and "storyhash-fetch" in message
        if not lined or scratch or "internal error" in message:
            yield f"{name!r}: {message[:200]!r}"


def _raw(text: str) -> Iterator[str]:
    """Lines with control characters a terminal would obey."""
    for line in text.splitlines():
        if any((ord(one) < 32 and one not in "\t\r") or one == "\x7f" for one in line):
            yield repr(line[:160])


def _bounded(trial: Trial, part: str, memory: MemoryWatch) -> None:
    most = PROCESS_MIB[part]
    trial.promise(
        f"{part}: a process takes {most} MiB at most, a decoder {CHILD_MIB}",
        [str(memory.figures)] if memory.process_mib > most or memory.child_mib > CHILD_MIB else [],
    )


def _match(trial: Trial, folder: _Folder, data: Path) -> None:
    """Every file asked about, some at a time."""
    # Absolute, so that no name is taken for an option.
    paths = sorted(folder.files)
    wrong: list[str] = []
    raw: list[str] = []
    worst = MemoryWatch(0)
    decisions: dict[str, int] = {}
    for start in range(0, len(paths), _MATCHED_AT_ONCE):
        part = paths[start : start + _MATCHED_AT_ONCE]
        ran = _storyhash(trial, len(part), "match", *part, "--data", data, "--json")
        lines = [json.loads(line) for line in ran.stdout.splitlines()]
        if ran.exit_code not in (0, 1) or "Traceback" in ran.stderr or len(lines) != len(part):
            wrong.append(
                f"{len(lines)} of {len(part)} answers, exit {ran.exit_code}: {ran.stderr[-300:]}"
            )
        for path, line in zip(part, lines, strict=False):
            one = folder.files[path]
            answer = line.get("decision") or line["error"]["code"]
            decisions[answer] = decisions.get(answer, 0) + 1
            if "error" in line and one.usable is True:
                wrong.append(f"{one.kind}: {one.what}: {line['error']['message']}")
        raw += _raw(ran.stderr)
        worst = _worse(worst, ran.memory)
    trial.figures["match"] = {**worst.figures, "answers": decisions}
    trial.promise("match: one answer a file, sound ones are read", wrong)
    trial.promise("match: nothing raw reaches a terminal", raw)
    _bounded(trial, "match", worst)


def _worse(one: MemoryWatch, other: MemoryWatch) -> MemoryWatch:
    return MemoryWatch(
        0,
        max(one.process_mib, other.process_mib),
        max(one.child_mib, other.child_mib),
        max(one.together_mib, other.together_mib),
    )


def _serve(trial: Trial, folder: _Folder, data: Path) -> None:
    """Every file uploaded to a service that also watches the folder."""
    service = Service(
        "serve",
        ["serve", "--data", data, "--watch", folder.path],
        trial.folder / "serve.log",
        _settings(trial),
    ).start()
    try:
        service.ready()
        began = service.pid
        with MemoryWatch(began) as memory:
            wrong, statuses = _uploaded(service, folder)
        trial.figures["serve"] = {**memory.figures, "statuses": statuses}
        trial.promise("serve: every upload has an answer", wrong)
        trial.promise("serve: the process is the same and alive", not service.running)
        trial.promise("serve: it is ready", httpx.get(f"{service.url}/readyz").status_code != 200)
        answer = _upload(service, folder.sound.read_bytes(), "sound.mp4")
        trial.promise(
            "serve: an honest query is answered after all of it", answer.status_code != 200
        )
        _bounded(trial, "serve", memory)
        code = service.stop()
        trial.promise("serve: it ends in order", code != 0)
    finally:
        if service.running:
            service.kill()
    left = [one.name for one in (trial.folder / "scratch").rglob("*") if one.is_file()]
    trial.promise("serve: no temporary file is left", left)
    trial.promise("serve: no traceback", "Traceback" in service.text())


def _uploaded(service: Service, folder: _Folder) -> tuple[list[str], dict[str, int]]:
    wrong: list[str] = []
    statuses: dict[str, int] = {}
    for path, one in folder.files.items():
        seconds = _LONG_FILM_SECONDS if "h of black" in one.what else _FILE_SECONDS
        asked = "match"
        try:
            answer = _upload(service, one.content, printable(path.name), seconds)
            asked = "livez"
            alive = httpx.get(f"{service.url}/livez", timeout=30).status_code
        except httpx.HTTPError as error:
            wrong.append(f"{one.kind}: {one.what}: {asked}: {type(error).__name__}")
            if not service.running:
                wrong.append("the service has died")
                break
            continue
        statuses[str(answer.status_code)] = statuses.get(str(answer.status_code), 0) + 1
        expected = {200} if one.usable is True else _ANSWERS
        if answer.status_code not in expected or alive != 200:
            wrong.append(f"{one.kind}: {one.what}: {answer.status_code} {answer.text[:200]}")
        # Where films of the index lie is told; where uploads lie is not.
        elif "/tmp/" in answer.text.replace(str(folder.path), ""):
            wrong.append(f"{one.kind}: {one.what}: tells a path: {answer.text[:200]}")
    return wrong, statuses


def _upload(
    service: Service, content: bytes, name: str, seconds: float = _FILE_SECONDS
) -> httpx.Response:
    return httpx.post(
        f"{service.url}/v1/match",
        params={"name": name},
        content=content,
        headers={"content-type": "application/octet-stream"},
        timeout=seconds,
    )


def _embed(trial: Trial, made: Sequence[HostileInput]) -> None:
    """Every file as the clip of a segment over Kafka: an embedding, or a dead letter."""
    with (
        KafkaBroker(trial.folder / "kafka") as broker,
        deployment_of(trial.folder, broker.bootstrap_servers, "hostile") as deployment,
    ):
        deployment.create_topics()
        names = _publish(deployment, made)
        embedder = deployment.embedder()
        # Where it listens it says once its model is loaded.
        trial.say(f"embedder at {embedder.url}")
        with MemoryWatch(embedder.pid) as memory:
            ended = _ended(deployment, names, trial)
        trial.figures["embed"] = {
            **memory.figures,
            "embedded": len(ended["embedded"]),
            "dead letters": len(ended["letters"]),
        }
        lost = [name for name in names if name not in ended["embedded"] | ended["letters"]]
        trial.promise("embedder: every clip is an embedding or a dead letter", lost)
        trial.promise("embedder: it is alive", not embedder.running)
        trial.promise("embedder: no traceback", "Traceback" in embedder.text())
        _bounded(trial, "embed", memory)


def _publish(deployment: Deployment, made: Sequence[HostileInput]) -> dict[str, HostileInput]:
    """A video of one segment for each file that fits into a message."""
    topics = Topics(deployment)
    publisher = topics.transport.publisher()
    names = {}
    for number, one in enumerate(made):
        if not one.content or len(one.content) > 4 << 20:
            continue
        name = f"hostile-{number:03d}"
        names[name] = one
        segment = Segment(SegmentRef(name, 0.0, 4.0), one.content)
        end = VideoEnd(CatalogEntry(name, f"/films/{name}"), 1, "complete", 4.0, 1)
        for event in (segment, end):
            publisher.publish(to_message(topics.names.segments, Envelope(event)))
    publisher.flush()
    publisher.close()
    return names


def _ended(
    deployment: Deployment, names: dict[str, HostileInput], trial: Trial
) -> dict[str, set[str]]:
    """The videos whose end has come through, by what became of their segment."""
    topics = Topics(deployment)

    def look() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {"embedded": set(), "letters": set(), "ends": set()}
        found["embedded"] = {one.ref.video_id for one in topics.embeddings().values()}
        for event in topics.events(topics.names.embeddings):
            if isinstance(event, VideoEnd):
                found["ends"].add(event.video_id)
        for received in topics.messages(topics.names.dead_letters):
            key = dict(received.headers).get("dead-letter-key", received.key).decode()
            found["letters"].add(key.partition("@")[0])
        return found

    wait_until(lambda: look()["ends"] >= names.keys(), "every video's end", len(names) * 20.0, 2.0)
    trial.say("every end has come")
    return look()


if __name__ == "__main__":
    run("files", __doc__ or "", files)
