"""`python -m tests.support.crashing FOLDER KIND`: runs a worker in memory that really crashes.

Every start has the same messages, as if a broker kept everything that is not committed. A batch with the
segment `fatal` crashes the process (KIND `abort`: by abort, otherwise by a segmentation fault). Prints
the messages in the log and the dead letters as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from common.messaging.dead_letters import read_dead_letters
from common.messaging.handler import Item
from common.work_in_progress import WorkInProgress
from tests.support.streams import DEAD_LETTERS, Bench, Stage, named, segment


def crash() -> None:
    """Crash this process with a segmentation fault, as native code may."""
    ctypes.string_at(0)


def _before(items: Sequence[Item]) -> None:
    if "fatal" in named(items):
        if sys.argv[2] == "abort":
            os.abort()
        crash()


def main() -> None:
    in_hand = WorkInProgress.open(Path(sys.argv[1]), "embed")
    stage = Stage(batch_messages=4, before=_before)
    bench = Bench(stage, in_hand=in_hand)
    names = ("a", "b", "fatal", "c", "d", "e")
    bench.send(*(segment(name, partition=number % 3) for number, name in enumerate(names)))
    bench.work_it_off()
    in_hand.close()
    letters = read_dead_letters(bench.transport, DEAD_LETTERS)
    told = {
        "log": [[key, (value or b"").decode()] for key, value in bench.told()],
        "letters": [[one.reason, one.explanation] for one in letters],
        "committed": sum(bench.committed().values()),
        "batches": stage.batches,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
