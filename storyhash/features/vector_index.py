"""Builds and searches an index file of fused features."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from common.atomic_write import replacing
from common.errors import ModelMismatchError, UsageError
from common.settings import SearcherSettings
from searcher.index.vector_file import search_vector_file, write_vector_file
from storyhash.features.files import Features, Row


@dataclass(frozen=True, slots=True)
class VectorHit:
    """score: inner product of unit vectors, higher is closer."""

    row: Row
    score: float


def rows_path(index: Path) -> Path:
    """The path of the description of the rows: of `a.faiss` it is `a.faiss.json`."""
    return index.with_name(index.name + ".json")


def build_index_file(fused: Features, out: Path, settings: SearcherSettings) -> int:
    """Index the informative rows; returns their number. Raises UsageError if there are none."""
    informative = [number for number, row in enumerate(fused.rows) if row.informative]
    if not informative:
        raise UsageError(
            "every row of these features has low information: there is nothing to index"
        )
    write_vector_file(out, fused.values[informative], settings)
    described = {
        "model_id": fused.model_id,
        "shape": [len(informative), fused.values.shape[1]],
        "units": fused.units,
        "settings": {**fused.settings, "m": settings.hnsw_m, "ef": settings.ef_construction},
        "rows": [asdict(fused.rows[number]) for number in informative],
    }
    with replacing(rows_path(out)) as temporary:
        temporary.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    return len(informative)


def query_index_file(
    path: Path, fused: Features, k: int, settings: SearcherSettings
) -> list[tuple[Row, list[VectorHit]]]:
    """The k nearest rows of an index file to each row of `fused`; none for a row that is not informative.

    Raises UsageError if the file is missing or damaged, ModelMismatchError if it is of another model.
    """
    try:
        description = json.loads(rows_path(path).read_text(encoding="utf-8"))
        rows = [Row(**row) for row in description["rows"]]
        made_by = description["model_id"]
    except OSError as error:
        raise UsageError(
            f"{error.filename}: {error.strerror}; create the index with: storyhash features index"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{rows_path(path)} is damaged; create the index again") from None
    if made_by != fused.model_id:
        raise ModelMismatchError(
            f"{path} was made with {made_by}, the query with {fused.model_id}; create both "
            "with the same profile, settings and --mode"
        )
    scores, nearest = search_vector_file(path, fused.values, k, settings)
    answers = []
    for number, row in enumerate(fused.rows):
        neighbours = zip(nearest[number], scores[number], strict=True) if row.informative else ()
        hits = [VectorHit(rows[at], float(score)) for at, score in neighbours if at >= 0]
        answers.append((row, hits))
    return answers
