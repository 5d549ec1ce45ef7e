"""Advice to the kernel about the memory of large arrays; only Linux takes it."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import numpy.typing as npt

# <sys/mman.h> of Linux.
_MADV_DONTNEED, _MADV_HUGEPAGE = 4, 14
# Advice in one call, during which the kernel locks memory, and the least that is worth one.
_PIECE_BYTES, _LEAST_BYTES = 16 << 20, 1 << 20


def give_back(array: npt.NDArray[Any]) -> None:
    """Give the whole pages of an array back to the kernel; whoever reads them finds zeros, or other
    data."""
    _advise(array, _MADV_DONTNEED)


def use_huge_pages(array: npt.NDArray[Any]) -> None:
    """Let those pages of an array that are written from now on be huge ones. A search reads vectors from
    all over the memory: with small pages, the processor looks up an address for nearly each of them."""
    _advise(array, _MADV_HUGEPAGE)


def _advise(array: npt.NDArray[Any], advice: int) -> None:
    if sys.platform != "linux":
        return
    page = mmap.PAGESIZE
    start = -(-array.ctypes.data // page) * page
    stop = (array.ctypes.data + array.nbytes) // page * page
    if stop - start < _LEAST_BYTES:
        return
    # ctypes releases the interpreter lock during a call. If the kernel refuses, all stays as it was.
    madvise = ctypes.CDLL(None).madvise
    for at in range(start, stop, _PIECE_BYTES):
        size = min(_PIECE_BYTES, stop - at)
        madvise(ctypes.c_void_p(at), ctypes.c_size_t(size), advice)
