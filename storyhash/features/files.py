"""Features on disk: an array in NumPy's format and next to it a JSON that says what its rows are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.atomic_write import replacing
from common.errors import StorageError, UsageError
from common.types import Float32Array

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Row:
    """Which stretch of which video a row describes, whether it shows anything, and how well what is in
    it could be followed, 0 to 1."""

    video_id: str
    start_seconds: float
    end_seconds: float
    informative: bool = True
    quality: float = 1.0

    @property
    def place(self) -> tuple[str, float, float]:
        """What two files must have in common to be joined."""
        return self.video_id, self.start_seconds, self.end_seconds


@dataclass(frozen=True, slots=True)
class Features:
    """values: float32 (rows, width).

    kind: `visual`, `action`, `graph` or `fused`. units: of the columns. backend: what made it, as in a
    profile. fingerprint: all that decides its numbers. model_id: that as a short name. settings: what
    the clips were cut with, and how rows were pooled.
    """

    kind: str
    values: Float32Array
    rows: tuple[Row, ...]
    units: str
    backend: str
    fingerprint: str
    model_id: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.dtype != np.float32 or self.values.ndim != 2:
            raise ValueError(
                f"values: expected float32 (rows, width), got {self.values.dtype} {self.values.shape}"
            )
        if len(self.values) != len(self.rows):
            raise ValueError(f"rows: expected {len(self.values)}, got {len(self.rows)}")


def json_path(path: Path) -> Path:
    """`clip.npy` has its description in `clip.json`."""
    return path.with_suffix(".json")


def write_features(path: Path, features: Features) -> None:
    """Write both files, each in one step. Raises StorageError."""
    described = {
        "format": _FORMAT,
        "kind": features.kind,
        "shape": list(features.values.shape),
        "dtype": str(features.values.dtype),
        "units": features.units,
        "backend": features.backend,
        "model_id": features.model_id,
        "fingerprint": features.fingerprint,
        "settings": dict(features.settings),
        "rows": [asdict(row) for row in features.rows],
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, features.values, allow_pickle=False)
        with replacing(json_path(path)) as temporary:
            temporary.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}; choose another --out") from None


def read_features(path: Path, *kinds: str) -> Features:
    """Read what `write_features` wrote. Raises UsageError unless it is whole and of one of `kinds`."""
    try:
        values = np.load(path, allow_pickle=False)
        description = json.loads(json_path(path).read_text(encoding="utf-8"))
        if description["format"] != _FORMAT or list(values.shape) != description["shape"]:
            raise UsageError(
                f"{path} and {json_path(path)} do not belong together; create both again"
            )
        features = Features(
            kind=description["kind"],
            values=values,
            rows=tuple(Row(**row) for row in description["rows"]),
            units=description["units"],
            backend=description["backend"],
            fingerprint=description["fingerprint"],
            model_id=description["model_id"],
            settings=description["settings"],
        )
    except OSError as error:
        raise UsageError(
            f"{error.filename}: {error.strerror}; features are a .npy and a .json file "
            "with the same name"
        ) from None
    except (ValueError, KeyError, TypeError, EOFError) as error:
        raise UsageError(
            f"{path} is not a StoryHash features file ({error}); create it again"
        ) from None
    if features.kind not in kinds:
        raise UsageError(f"{path} has {features.kind} features, expected {' or '.join(kinds)}")
    return features
