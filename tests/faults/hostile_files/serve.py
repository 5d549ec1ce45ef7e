"""Hostile files through `serve`, as queries and as jobs; it watches their folder too."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from common.http.error_codes import error_codes
from common.printable import printable
from tests.faults.harness import Trial
from tests.faults.hostile_files.watched import FILE_SECONDS, Folder, check_memory, settings_of
from tests.faults.memory import MemoryWatch
from tests.support.services import Service

# Hours of film are hours of work for a busy machine: six took 308 s on two cores while the same film was
# being indexed.
_LONG_FILM_SECONDS = 1200.0
# A query and what is found for it; a refusal of what is no video.
_ANSWERS = {200, 400, 413, 415, 422}
_PROBLEM = "application/problem+json"
# Codes of errors that are about one video.
_OF_VIDEO = {code for code, one in error_codes().items() if 422 in one.statuses}
_ENDED = ("done", "failed", "cancelled")


def through_serve(trial: Trial, folder: Folder, data: Path) -> None:
    """Every file uploaded to a service that also watches the folder."""
    service = Service(
        "serve",
        ["serve", "--data", data, "--watch", folder.path],
        trial.folder / "serve.log",
        settings_of(trial),
    ).start()
    try:
        service.ready()
        began = service.pid
        with MemoryWatch(began) as memory:
            wrong, statuses = _uploaded(service, folder)
            failed, states = _jobs(service, folder)
        trial.figures["serve"] = {**memory.figures, "statuses": statuses, "jobs": states}
        trial.promise("serve: every upload has an answer", wrong)
        trial.promise("serve: every job has an end", failed)
        trial.promise("serve: the process is the same and alive", not service.running)
        trial.promise("serve: it is ready", httpx.get(f"{service.url}/readyz").status_code != 200)
        answer = _upload(service, folder.sound.read_bytes(), "sound.mp4")
        trial.promise(
            "serve: an honest query is answered after all of it", answer.status_code != 200
        )
        check_memory(trial, "serve", memory)
        code = service.stop()
        trial.promise("serve: it ends in order", code != 0)
    finally:
        if service.running:
            service.kill()
    left = [one.name for one in (trial.folder / "scratch").rglob("*") if one.is_file()]
    trial.promise("serve: no temporary file is left", left)
    trial.promise("serve: no traceback", "Traceback" in service.text())


def _uploaded(service: Service, folder: Folder) -> tuple[list[str], dict[str, int]]:
    wrong: list[str] = []
    statuses: dict[str, int] = {}
    for path, one in folder.files.items():
        seconds = _LONG_FILM_SECONDS if "h of black" in one.what else FILE_SECONDS
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
        elif answer.status_code >= 400 and answer.headers["Content-Type"] != _PROBLEM:
            wrong.append(f"{one.kind}: {one.what}: {answer.headers['Content-Type']}")
        # Where films of the index lie is told; where uploads lie is not.
        elif "/tmp/" in answer.text.replace(str(folder.path), ""):
            wrong.append(f"{one.kind}: {one.what}: tells a path: {answer.text[:200]}")
    return wrong, statuses


def _jobs(service: Service, folder: Folder) -> tuple[list[str], dict[str, int]]:
    """Every file as a job, one after the other: it is done, or failed with a code that a caller knows."""
    wrong: list[str] = []
    ends: dict[str, int] = {}
    for path, one in folder.files.items():
        seconds = _LONG_FILM_SECONDS if "h of black" in one.what else FILE_SECONDS
        what, ended = f"{one.kind}: {one.what}", ""
        try:
            made = _upload(service, one.content, printable(path.name), seconds, "/v1/jobs")
            if made.status_code != 202:
                if made.status_code not in _ANSWERS or one.usable is True:
                    wrong.append(f"{what}: {made.status_code} {made.text[:200]}")
                ended = str(made.status_code)
            else:
                job = _wait(f"{service.url}{made.headers['Location']}", seconds)
                ended = job["state"] if job["error"] is None else job["error"]["code"]
        except httpx.HTTPError as error:
            wrong.append(f"{what}: {type(error).__name__}")
            if not service.running:
                wrong.append("the service has died")
                break
            continue
        ends[ended] = ends.get(ended, 0) + 1
        clear = ended in _OF_VIDEO or ended in map(str, _ANSWERS)
        if ended != "done" and (one.usable is True or not clear):
            wrong.append(f"{what}: {ended}")
    return wrong, ends


def _wait(url: str, seconds: float) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while True:
        job: dict[str, Any] = httpx.get(url, timeout=30).json()
        if job["state"] in _ENDED or time.monotonic() > until:
            return job
        time.sleep(0.05)


def _upload(
    service: Service,
    content: bytes,
    name: str,
    seconds: float = FILE_SECONDS,
    route: str = "/v1/match",
) -> httpx.Response:
    return httpx.post(
        f"{service.url}{route}",
        params={"name": name},
        content=content,
        headers={"content-type": "application/octet-stream"},
        timeout=seconds,
    )
