"""Features on disk: an array in NumPy's format, and a JSON file beside it that describes its rows."""

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
    """The range of a video that a row describes. informative: false if it has only low-information
    frames. quality: of its tracks, 0 to 1."""

    video_id: str
    start_seconds: float
    end_seconds: float
    informative: bool = True
    quality: float = 1.0

    @property
    def place(self) -> tuple[str, float, float]:
        """What must be equal in two files whose rows are fused."""
        return self.video_id, self.start_seconds, self.end_seconds


@dataclass(frozen=True, slots=True)
class Features:
    """values: float32 (rows, width).

    kind: `visual`, `action`, `graph` or `fused`. units: of the columns. backend: the visual backend or
    tracker, as in a profile. fingerprint: identifies everything that the numbers depend on. model_id: a
    short name of it. settings: how clips were cut and rows were pooled.
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
    """The path of the description: of `clip.npy` it is `clip.json`."""
    return path.with_suffix(".json")


def write_features(path: Path, features: Features) -> None:
    """Write both files, each atomically. Raises StorageError."""
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
    """Read what `write_features` wrote. Raises UsageError for files that are damaged or of another kind
    than `kinds`."""
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
