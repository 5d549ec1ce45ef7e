"""`python -m tests.support.crashing_matches FOLDER`: tells of new videos; is killed while it matches `a`.

Prints the videos told of.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from common.work_in_progress import WorkInProgress
from searcher.serving import ServingIndex
from storyhash.services.match_new_video import match_new_video
from tests.support.memory_transport import MemoryTransport
from tests.unit.searcher.log.test_consumer import open_index
from tests.unit.storyhash.services.streaming.test_match_publisher import announce

_REPLACED = "storyhash.services.streaming.match_publisher.match_new_video"


def _crashes(answering: ServingIndex, video_id: str, *rest: Any) -> Any:
    if video_id == "a":
        os.kill(os.getpid(), signal.SIGKILL)
    return match_new_video(answering, video_id, *rest)


def main() -> None:
    folder = Path(sys.argv[1])
    with open_index(folder) as index, patch(_REPLACED, _crashes):
        told = announce(index, MemoryTransport(), WorkInProgress.open(folder, "match"))
    sys.stdout.write(f"{sorted(told)}\n")


if __name__ == "__main__":
    main()
