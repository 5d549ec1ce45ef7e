"""Hostile files through `serve`, which watches their folder too."""

from __future__ import annotations

from pathlib import Path

import httpx

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
        trial.figures["serve"] = {**memory.figures, "statuses": statuses}
        trial.promise("serve: every upload has an answer", wrong)
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
        # Where films of the index lie is told; where uploads lie is not.
        elif "/tmp/" in answer.text.replace(str(folder.path), ""):
            wrong.append(f"{one.kind}: {one.what}: tells a path: {answer.text[:200]}")
    return wrong, statuses


def _upload(
    service: Service, content: bytes, name: str, seconds: float = FILE_SECONDS
) -> httpx.Response:
    return httpx.post(
        f"{service.url}/v1/match",
        params={"name": name},
        content=content,
        headers={"content-type": "application/octet-stream"},
        timeout=seconds,
    )
