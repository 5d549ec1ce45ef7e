"""What every scenario shares: options, a folder, the promises it checks, and the JSON it leaves."""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.runtime_tuning import usable_cores


@dataclass
class Trial:
    """One run of a scenario. `figures` is what it measured, `promises` what it checked."""

    folder: Path
    quick: bool
    seed: int
    videos: Path | None
    only: str = ""
    # What the scenario's own arguments say.
    asked: argparse.Namespace = field(default_factory=argparse.Namespace)
    figures: dict[str, Any] = field(default_factory=dict)
    promises: dict[str, list[str]] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    @property
    def random(self) -> random.Random:
        """The same numbers for the same seed, anew with every call."""
        return random.Random(self.seed)

    def size(self, full: int, quick: int) -> int:
        """How much of something, by how thorough the run is."""
        return quick if self.quick else full

    def wants(self, part: str) -> bool:
        """Whether a part of the scenario is to be run."""
        return self.only in part

    def promise(self, words: str, broken: list[str] | bool) -> None:
        """Check a promise; `broken`: how it was broken, or just whether."""
        found = (["it is not so"] if broken else []) if isinstance(broken, bool) else broken
        self.promises.setdefault(words, []).extend(found)
        self.say(f"{'BROKEN' if found else 'kept'}: {words}")
        for one in found[:5]:
            self.say(f"    {one}")

    def say(self, words: str) -> None:
        """Tell whoever waits."""
        sys.stderr.write(f"[{time.monotonic() - self._began:6.1f} s] {words}\n")
        sys.stderr.flush()

    @property
    def kept(self) -> bool:
        return bool(self.promises) and not any(self.promises.values())

    def told(self, name: str) -> dict[str, Any]:
        """The run as JSON."""
        return {
            "scenario": name,
            "quick": self.quick,
            "seed": self.seed,
            "videos": "drawn" if self.videos is None else self.videos.name,
            "machine": {"cores": usable_cores(), "python": platform.python_version()},
            "seconds": round(time.monotonic() - self._began, 1),
            "figures": self.figures,
            "promises": [
                {"promise": words, "kept": not broken, "broken": broken[:20]}
                for words, broken in self.promises.items()
            ],
            "kept": self.kept,
        }


def run(
    name: str,
    about: str,
    scenario: Callable[[Trial], None],
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
) -> None:
    """Parse the command line, run the scenario, print its figures, and exit 1 when a promise was broken
    or could not be checked. arguments: adds those of the scenario, which are in `trial.asked`."""
    parser = argparse.ArgumentParser(prog=f"scripts/faults {name}", description=about)
    parser.add_argument("--quick", action="store_true", help="smaller, for a first look")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--videos", type=Path, help="a folder of videos; by default films are drawn"
    )
    parser.add_argument("--seed", type=int, default=5, help="decides where and when things break")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it, logs and all")
    parser.add_argument("--only", default="", help="of several parts those with this in the name")
    arguments(parser)
    asked = parser.parse_args()
    folder = asked.keep or Path(tempfile.mkdtemp(prefix=f"storyhash-{name}-"))
    folder.mkdir(parents=True, exist_ok=True)
    # Asked to end, it ends what it started.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    trial = Trial(folder.resolve(), asked.quick, asked.seed, asked.videos, asked.only, asked=asked)
    try:
        scenario(trial)
    except Exception as error:
        traceback.print_exc()
        trial.promise("the scenario ran to its end", [f"{type(error).__name__}: {error}"])
    text = json.dumps(trial.told(name), indent=1)
    sys.stdout.write(text + "\n")
    if asked.json is not None:
        asked.json.write_text(text + "\n", encoding="utf-8")
    if asked.keep is None and trial.kept:
        shutil.rmtree(folder, ignore_errors=True)
    elif not trial.kept:
        sys.stderr.write(f"logs: {folder}\n")
    sys.exit(0 if trial.kept else 1)
