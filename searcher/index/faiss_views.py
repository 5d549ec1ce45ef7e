"""Indexes of FAISS that read memory of somebody else."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt


def view_codes(index: Any, codes: npt.NDArray[Any]) -> None:
    """Let an empty flat index have the rows of an array, without a copy. codes: contiguous, of as many
    bytes per row as the index has; nobody may change them while the index is searched."""
    seen, there = codes.reshape(-1).view(np.uint8), index.codes
    there.is_owned = False
    there.view_data = there.c_ptr = faiss.swig_ptr(seen)
    there.view_size = there.c_size = seen.size
    index.ntotal = len(codes)
    index.referenced_objects = (codes,)
