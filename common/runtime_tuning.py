"""How a process uses its machine: cores, threads and memory."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time

import cv2
from threadpoolctl import threadpool_limits

# <malloc.h> of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 32 * 1024 * 1024
# How long a process may outlive its parent.
_WATCH_SECONDS = 0.5


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_what_is_there() -> None:
    """Make the garbage collector pass over what there is now: in a service that has started it stays to
    the end, and a full collection that looks at all of it stops everything for a tenth of a second."""
    gc.collect()
    gc.freeze()


def work_in_one_thread() -> None:
    """Prepare this process for a pipeline whose stages each keep a core busy.

    OpenCV and BLAS work in the thread that calls them: a call that spreads itself over all cores only
    takes them from the other stages, and loses more to waiting than it gains. Freed pictures are kept
    for the next ones: by default glibc hands each back to the kernel and gets it again page by page,
    which costs a tenth of the whole time.
    """
    cv2.setNumThreads(1)
    threadpool_limits(1, user_api="blas")
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
            mallopt(_M_TRIM_THRESHOLD, 4 * _KEPT_BYTES)


def die_with(parent: int) -> None:
    """End this process soon after its parent has.

    Linux could do it (PR_SET_PDEATHSIG), but means the thread that started the process, and threads of
    a pool end long before it.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()
