"""Cached features of a query: extracted once, then matched under every configuration."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_write import replacing
from common.types import ACTION_DIMENSION, VISUAL_DIMENSION
from embedder.query.features import QueryFeatures, ViewFeatures
from evaluation.records import CopiedRange

_FORMAT = 1
_NOTHING = QueryFeatures(
    1e-3,
    np.array([[0.0, 1e-3]]),
    np.zeros((1, ACTION_DIMENSION), dtype=np.float32),
    (
        ViewFeatures(
            "identity",
            np.zeros((0, VISUAL_DIMENSION), dtype=np.float32),
            np.zeros(0, dtype=bool),
            np.zeros(0),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class CachedQuery:
    """The features of a query and its ground truth.

    pieces: the copied ranges; partners: ids of other videos that it contains; error: why the query
    could not be made or read, `query` is then empty.
    """

    query: QueryFeatures
    pieces: tuple[CopiedRange, ...] = ()
    partners: tuple[str, ...] = ()
    error: str = ""

    @classmethod
    def failed(cls, error: str) -> CachedQuery:
        """A query that could not be made or read."""
        return cls(_NOTHING, error=error)


def write_cached_query(path: Path, cached: CachedQuery) -> None:
    """Write it; vectors in half precision, which changes an inner product by less than 0.001."""
    header = {
        "format": _FORMAT,
        "duration_seconds": cached.query.duration_seconds,
        "views": [view.name for view in cached.query.views],
        "pieces": [asdict(piece) for piece in cached.pieces],
        "partners": list(cached.partners),
        "error": cached.error,
    }
    arrays: dict[str, Any] = {
        "told": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
        "spans": cached.query.spans,
        "actions": cached.query.actions,
    }
    for number, view in enumerate(cached.query.views):
        arrays[f"rows_{number}"] = view.rows.astype(np.float16)
        arrays[f"informative_{number}"] = view.informative
        arrays[f"pts_{number}"] = view.pts_seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_cached_query(path: Path) -> CachedQuery | None:
    """Read the file of `write_cached_query`; None if it is missing or unreadable."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            header = json.loads(arrays["told"].tobytes())
            if header["format"] != _FORMAT:
                return None
            views = []
            for number, name in enumerate(header["views"]):
                rows = arrays[f"rows_{number}"].astype(np.float32)
                norm = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
                usable = arrays[f"informative_{number}"]
                rows = np.where(usable[:, None], rows / norm, np.float32(0)).astype(np.float32)
                views.append(ViewFeatures(name, rows, usable, arrays[f"pts_{number}"]))
            query = QueryFeatures(
                header["duration_seconds"], arrays["spans"], arrays["actions"], tuple(views)
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return CachedQuery(
        query,
        tuple(CopiedRange(**piece) for piece in header["pieces"]),
        tuple(header["partners"]),
        header["error"],
    )
