"""What all of it is measured by: the folder, a watched command, bounds and what is printed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.harness import Trial
from tests.faults.hostile import HostileInput
from tests.faults.hostile.documents import SECRET
from tests.faults.memory import MemoryWatch
from tests.faults.videos import draw
from tests.support.services import ROOT, clean_environment

# Resident memory, MiB, as docs/operations/limits.md states it. An idle process holds some 300 with
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
FILE_SECONDS = 240.0


@dataclass(frozen=True)
class Folder:
    """The hostile files on disk, by path, and the film that no playlist may open."""

    path: Path
    files: dict[Path, HostileInput]
    sound: Path


def write_folder(path: Path, made: Sequence[HostileInput]) -> Folder:
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
    return Folder(path, written, sound)


def settings_of(trial: Trial) -> dict[str, str]:
    scratch = trial.folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return {
        "STORYHASH_PROFILE": "offline",
        "STORYHASH_HTTP__PORT": "0",
        "STORYHASH_INGEST__WORKERS": "1",
        "TMPDIR": str(scratch),
    }


@dataclass(frozen=True)
class Run:
    exit_code: int
    stdout: str
    stderr: str
    memory: MemoryWatch


def storyhash(trial: Trial, count: int, *arguments: str | Path) -> Run:
    """One command to its end, watched."""
    process = subprocess.Popen(
        [sys.executable, "-m", "storyhash", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(settings_of(trial)),
        cwd=ROOT,
    )
    with MemoryWatch(process.pid) as memory:
        try:
            out, err = process.communicate(timeout=60 + count * FILE_SECONDS)
        finally:
            process.kill()
    texts = [one.decode("utf-8", "replace") for one in (out, err)]
    return Run(process.returncode, texts[0], texts[1], memory)


def raw_lines(text: str) -> Iterator[str]:
    """Lines with control characters a terminal would obey."""
    for line in text.splitlines():
        if any((ord(one) < 32 and one not in "\t\r") or one == "\x7f" for one in line):
            yield repr(line[:160])


def check_memory(trial: Trial, part: str, memory: MemoryWatch) -> None:
    most = PROCESS_MIB[part]
    trial.promise(
        f"{part}: a process takes {most} MiB at most, a decoder {CHILD_MIB}",
        [str(memory.figures)] if memory.process_mib > most or memory.child_mib > CHILD_MIB else [],
    )
