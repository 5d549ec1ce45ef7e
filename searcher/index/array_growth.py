"""Arrays that only grow at their end, so readers can keep older versions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def grown(array: npt.NDArray[Any], rows: int, wanted: int) -> npt.NDArray[Any]:
    """The array if it has `wanted` rows, otherwise a copy of its first `rows` rows with capacity for
    twice `wanted`."""
    if wanted <= len(array):
        return array
    larger = np.zeros((max(1024, 2 * wanted), *array.shape[1:]), dtype=array.dtype)
    larger[:rows] = array[:rows]
    return larger
