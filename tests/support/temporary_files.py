"""Where tests keep their files: in memory, if this machine has enough of it.

Hundreds of tests make an index, whose files and databases are flushed to the disk again and again. On a
disk a test waits ten times as long for a new index as in memory.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")
# Several times what the files of a whole run take at once, which is less than 1 GB.
_ENOUGH_BYTES = 4 << 30


def install() -> None:
    """From now on pytest makes its temporary folders in memory. Does nothing if PYTEST_DEBUG_TEMPROOT
    names a folder."""
    if os.access(_MEMORY, os.W_OK) and _free_bytes() >= _ENOUGH_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def _free_bytes() -> int:
    """What files in memory may take. That of the file system is a limit, not a reservation."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    return min(available, shutil.disk_usage(_MEMORY).free)
