"""`storyhash serve` at full speed: videos are added, matched, searched, judged and deleted in parallel,
with keys on and a webhook receiver that refuses half of its requests. In the first third of the time the
service is killed (SIGKILL) at random moments; then nobody disturbs it, and its memory, file descriptors
and threads are measured. At the end it is killed once more: every acknowledged write is
there, and every webhook was told."""

from __future__ import annotations

import argparse
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.faults.harness import Trial, run
from tests.faults.keys import create_key, headers_of
from tests.faults.soaking import truth
from tests.faults.soaking.killable import Killable
from tests.faults.soaking.load import KEPT, RAW, Load
from tests.faults.soaking.receiver import Host, hosting
from tests.faults.soaking.vitals import Vitals
from tests.faults.videos import draw
from tests.support.services import wait_until

_SETTINGS = {
    "STORYHASH_PROFILE": "offline",
    "STORYHASH_INGEST__ALLOWED_HOSTS": '["127.0.0.1"]',
    "STORYHASH_INGEST__WORKERS": "1",
    "STORYHASH_HTTP__REQUIRE_KEYS": "always",
    # Full speed.
    "STORYHASH_HTTP__REQUESTS_PER_MINUTE": "0",
    "STORYHASH_WEBHOOKS__PRIVATE_HOSTS": '["127.0.0.1"]',
    "STORYHASH_WEBHOOKS__FIRST_RETRY_SECONDS": "0.2",
}
_FILMS, _FILM_SECONDS = 6, 8.0
_KEPT_FILMS = 3
# The part of the time in which it is killed.
_KILLED_SHARE = 1 / 3
# After a start, seconds until the next kill.
_PAUSES = (3.0, 20.0)
# Of a process that nobody disturbs. Bounded caches still fill in the first minutes.
_MOST_MIB_PER_MINUTE = 15.0
# A slope of less time is noise: one query's memory comes and goes.
_LEAST_SECONDS_FOR_SLOPE = 120.0
_END_SECONDS = 900.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10.0, help="with --quick 1")
    parser.add_argument(
        "--database", help="keep the state in a new schema of this PostgreSQL database, by its URL"
    )


def soak(trial: Trial) -> None:
    """The scenario."""
    minutes = 1.0 if trial.quick else float(trial.asked.minutes)
    films = [
        draw(trial.folder / "films" / f"film-{number}.mp4", number, _FILM_SECONDS)
        for number in range(_FILMS)
    ]
    with _database(trial.asked.database) as database, hosting(trial.folder / "films") as host:
        settings = {**_SETTINGS, **database}
        data = trial.folder / "data"
        key = headers_of(create_key(data, "soak", settings, "admin"))
        serve = Killable(data, trial.folder / "serve.log", settings)
        trial.figures |= {"minutes": minutes, "database": "PostgreSQL" if database else "SQLite"}
        try:
            serve.start()
            _soaked(trial, serve, host, key, films, 60 * minutes)
            trial.promise("it ends in order", serve.service.stop() != 0)
        finally:
            if serve.service.running:
                serve.service.kill()


def _soaked(
    trial: Trial,
    serve: Killable,
    host: Host,
    key: dict[str, str],
    films: list[Path],
    seconds: float,
) -> None:
    addresses = [f"{host.url}/{film.name}" for film in films]
    with httpx.Client(base_url=serve.url, headers=key, timeout=120) as client:
        for number, address in enumerate(addresses[:_KEPT_FILMS]):
            body = {"uri": address, "video_id": f"{KEPT}/{number}.mp4", "bank": KEPT}
            client.post("/v1/videos", json=body).raise_for_status()
        wait_until(lambda: _ready(client) == _KEPT_FILMS, "the first videos", 300, 0.2)
        made = client.post("/v1/webhooks", json={"url": f"{host.url}/hook"})
        made.raise_for_status()
        # A match to judge from the beginning.
        client.post("/v1/match", content=films[0].read_bytes(), headers=RAW).raise_for_status()
    webhook_id, host.receiver.secret = made.json()["id"], made.json()["secret"]

    clips = [film.read_bytes() for film in films]
    load = Load(serve, key, addresses, clips, trial.random, webhook_id)
    load.start()
    trial.say("full speed, with kills")
    serve.kill_for(seconds * _KILLED_SHARE, trial.random, _PAUSES)
    trial.say(f"{serve.service.kills} kills; now nobody disturbs it")
    undisturbed = seconds * (1 - _KILLED_SHARE)
    with Vitals(serve.service.pid) as vitals:
        time.sleep(undisturbed)
    trial.promise("it never dies by itself", serve.died_by_itself)
    load.stop()
    trial.figures |= {"load": load.figures, "vitals": vitals.figures}
    trial.promise("no unexpected answer", load.unexpected)
    trial.promise("file descriptors and threads are stable", vitals.grown())
    if undisturbed >= _LEAST_SECONDS_FOR_SLOPE:
        trial.promise(
            f"memory grows by less than {_MOST_MIB_PER_MINUTE:g} MiB per minute",
            vitals.slope() > _MOST_MIB_PER_MINUTE,
        )
    _settled(trial, serve, host, key, webhook_id, load)
    _held(trial, serve, host, key, load)


def _settled(
    trial: Trial, serve: Killable, host: Host, key: dict[str, str], webhook_id: str, load: Load
) -> None:
    """Wait until what is queued is done; then kill it for the last time."""
    began = time.monotonic()
    with httpx.Client(base_url=serve.url, headers=key, timeout=120) as client:
        aside = truth.set_aside(client)
        trial.figures["videos_set_aside_by_two_kills"] = len(aside)
        for name in aside:
            client.post("/v1/videos", json=load.video(name)).raise_for_status()
        left = "everything"
        while left and time.monotonic() - began < _END_SECONDS:
            left = truth.all_ended(client, webhook_id)
            time.sleep(0.5)
        trial.promise("what is queued comes to its end", [left] if left else [])
        dead = client.get(
            f"/v1/webhooks/{webhook_id}/deliveries", params={"state": "dead", "limit": 100}
        ).json()
        trial.promise(
            "no event is a dead letter", [f"{one['type']}: {one['error']}" for one in dead["items"]]
        )
    trial.figures["seconds_until_all_is_done"] = round(time.monotonic() - began, 1)
    serve.kill()
    serve.start()
    trial.figures |= {
        "kills": serve.service.kills,
        "seconds_to_ready": serve.seconds_to_ready,
        "webhooks": host.receiver.figures,
    }


def _held(trial: Trial, serve: Killable, host: Host, key: dict[str, str], load: Load) -> None:
    known, receiver = load.known, host.receiver
    with httpx.Client(base_url=serve.url, headers=key, timeout=120) as client:
        trial.promise("every acknowledged video is there", truth.lost_videos(client, known))
        trial.promise("every acknowledged verdict is there", truth.lost_verdicts(client, known))
        trial.promise("every acknowledged job has ended", truth.lost_jobs(client, known))
        trial.promise(
            "every event was delivered at least once", truth.untold(client, known, receiver)
        )
    trial.promise("each event has an id of its own", receiver.ambiguous)
    trial.promise("every request of a webhook is signed", receiver.unverified)
    trial.promise("something was done of every kind", _nothing_done(load, receiver.requests))
    log = (trial.folder / "serve.log").read_text(errors="replace")
    trial.promise("no traceback", [_around(log)] if "Traceback" in log else [])


def _nothing_done(load: Load, requests: int) -> list[str]:
    known = load.known
    done = {
        "videos added": known.added,
        "videos deleted": known.deleted,
        "verdicts": known.verdicts,
        "jobs": known.jobs,
        "matches": load.seconds["match"],
        "searches": load.seconds["search"],
        "webhook requests": range(requests),
    }
    return [name for name, found in done.items() if not found]


def _around(log: str) -> str:
    place = log.index("Traceback")
    return log[max(0, place - 200) : place + 3000]


def _ready(client: httpx.Client) -> int:
    return int(client.get("/v1/videos", params={"state": "ready"}).json()["total"])


@contextmanager
def _database(url: str | None) -> Iterator[dict[str, Any]]:
    """The settings of the state database; a schema of its own on a server, which is dropped."""
    if url is None:
        yield {}
        return
    import psycopg

    schema = f"soak_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            mark = "&" if "?" in url else "?"
            yield {"STORYHASH_STATE__URL": f"{url}{mark}options=-csearch_path%3D{schema}"}
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


if __name__ == "__main__":
    run("soak", __doc__ or "", soak, arguments)
