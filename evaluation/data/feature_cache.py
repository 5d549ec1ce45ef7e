"""What was seen of a made query, on disk: made once, then matched under every configuration."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_write import replacing
from common.types import ACTION_DIMENSION, VISUAL_DIMENSION
from embedder.query.features import SeenQuery, SeenView
from evaluation.data.records import CopiedRange

_FORMAT = 1
_NOTHING = SeenQuery(
    1e-3,
    np.array([[0.0, 1e-3]]),
    np.zeros((1, ACTION_DIMENSION), dtype=np.float32),
    (
        SeenView(
            "identity",
            np.zeros((0, VISUAL_DIMENSION), dtype=np.float32),
            np.zeros(0, dtype=bool),
            np.zeros(0),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class CachedQuery:
    """A query and the truth about it.

    pieces: stretches of it and of the video it was made of; partners: other videos to be seen in it;
    error: why there is no query; `query` then shows nothing.
    """

    query: SeenQuery
    pieces: tuple[CopiedRange, ...] = ()
    partners: tuple[str, ...] = ()
    error: str = ""

    @classmethod
    def failed(cls, error: str) -> CachedQuery:
        """A query that could not be made or read."""
        return cls(_NOTHING, error=error)


def write_seen(path: Path, seen: CachedQuery) -> None:
    """Write one; vectors in half precision, which moves an inner product by less than 0.001."""
    told = {
        "format": _FORMAT,
        "duration_seconds": seen.query.duration_seconds,
        "views": [view.name for view in seen.query.views],
        "pieces": [asdict(piece) for piece in seen.pieces],
        "partners": list(seen.partners),
        "error": seen.error,
    }
    arrays: dict[str, Any] = {
        "told": np.frombuffer(json.dumps(told).encode(), dtype=np.uint8),
        "spans": seen.query.spans,
        "actions": seen.query.actions,
    }
    for number, view in enumerate(seen.query.views):
        arrays[f"rows_{number}"] = view.rows.astype(np.float16)
        arrays[f"informative_{number}"] = view.informative
        arrays[f"pts_{number}"] = view.pts_seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_seen(path: Path) -> CachedQuery | None:
    """Read what `write_seen` wrote; None where there is nothing, or nothing that can be read."""
    try:
        with np.load(path, allow_pickle=False) as held:
            told = json.loads(held["told"].tobytes())
            if told["format"] != _FORMAT:
                return None
            views = []
            for number, name in enumerate(told["views"]):
                rows = held[f"rows_{number}"].astype(np.float32)
                norm = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
                usable = held[f"informative_{number}"]
                rows = np.where(usable[:, None], rows / norm, np.float32(0)).astype(np.float32)
                views.append(SeenView(name, rows, usable, held[f"pts_{number}"]))
            query = SeenQuery(
                told["duration_seconds"], held["spans"], held["actions"], tuple(views)
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return CachedQuery(
        query,
        tuple(CopiedRange(**piece) for piece in told["pieces"]),
        tuple(told["partners"]),
        told["error"],
    )
