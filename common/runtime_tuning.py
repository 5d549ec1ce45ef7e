"""Tuning of a process: cores, threads and memory."""

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
# A thread with it gets a tenth of what a query's thread gets if both want the same core. With less, a
# thread that waits for a core while it has the interpreter lock makes all others wait.
_NICE = 10
# For a process that holds no lock that a query waits for.
_NICE_APART = 15
# Interval of the checks for the parent, in seconds.
_WATCH_SECONDS = 0.5


class _Background(threading.local):
    """Whether this thread has lowered its priority."""

    yields = False


_background = _Background()


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_what_is_there() -> None:
    """Exclude all present objects from garbage collection. In a started service they stay to the end, and
    a full collection over them stops the process for a tenth of a second."""
    gc.collect()
    gc.freeze()


def hand_over_soon() -> None:
    """Let a thread that waits for Python's interpreter lock have it after a tenth of a millisecond, not
    five. A short query takes the lock several times, and other threads always have something to do."""
    sys.setswitchinterval(0.0001)


def yield_to_queries(*, apart: bool = False) -> None:
    """Lower the priority of this thread and those it starts. Only Linux has priorities per thread. apart:
    the process answers no queries, so none waits for a lock that it has: the priority is lower still."""
    _background.yields = True
    if sys.platform == "linux":
        nice = _NICE_APART if apart else _NICE
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


def is_in_background() -> bool:
    """Whether this thread yields to queries."""
    return _background.yields


def work_in_one_thread() -> None:
    """Prepare this process for a pipeline whose stages each keep a core busy.

    OpenCV and BLAS then work in the calling thread: a call that uses all cores takes them from the other
    stages, and loses more by waiting than it gains. Memory of freed pictures is reused: by default glibc
    returns it to the kernel and gets it back page by page, which costs a tenth of the total time.
    """
    cv2.setNumThreads(1)
    threadpool_limits(1, user_api="blas")
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
            mallopt(_M_TRIM_THRESHOLD, 4 * _KEPT_BYTES)


def die_with(parent: int) -> None:
    """End this process soon after its parent has ended.

    PR_SET_PDEATHSIG of Linux does not help: it refers to the thread that started the process, and threads
    of a pool end long before the parent.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()
