"""Queries against an ordinary catalogue and their matches. `python -m tests.support.ordinary_matches`
writes them to the golden file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.settings import SearcherSettings
from common.types import QueryEmbedding
from searcher.index.shard import Shard
from searcher.matching.matcher import Matcher
from searcher.matching.scoring.policy import Policies, default_policy
from tests.support.embeddings import MODEL_ID
from tests.support.fixed_calibrations import fixed_calibration
from tests.support.made_films import copied, edited, embeddings, film, mirrored, query

GOLDEN = Path(__file__).parents[1] / "unit/searcher/matching/ordinary_matches.json"
BACKENDS = ("offline", "sscd")


def ordinary_queries() -> tuple[Shard, Iterator[tuple[str, QueryEmbedding]]]:
    """An index of 40 synthetic videos, and queries with their names."""
    rng = np.random.default_rng(20)
    films = [film(rng, float(rng.integers(12, 40))) for _ in range(40)]
    shard = Shard(SearcherSettings())
    for number, frames in enumerate(films):
        shard.add(embeddings(f"film-{number:02d}", frames))

    def queries() -> Iterator[tuple[str, QueryEmbedding]]:
        for similarity in (0.95, 0.65, 0.5):
            part = edited(rng, films[5][2:22], similarity)
            yield f"excerpt {similarity}", query(copied(rng, part))
            host = film(rng, 20)
            host[12:24] = edited(rng, films[7][4:16], similarity)
            yield f"insert {similarity}", query(copied(rng, host))
            yield f"mirrored {similarity}", query(copied(rng, mirrored(part)))
        parts = [films[1][:16], films[2][4:20], films[9][4:20]]
        yield "compilation", query(copied(rng, np.concatenate(parts)))
        yield "twice", query(copied(rng, np.concatenate([parts[0], host[:12], parts[0]])))
        for seconds in (4.0, 16.0):
            yield f"negative {seconds}", query(film(rng, seconds))

    return shard, queries()


def ordinary_matches() -> dict[str, dict[str, list[float | str]]]:
    """By backend and query, and by video: decision, probability, score and ranges of the best match."""
    answers: dict[str, dict[str, list[float | str]]] = {}
    for backend in BACKENDS:
        shard, queries = ordinary_queries()
        calibration = fixed_calibration(backend)
        matcher = Matcher(shard, MODEL_ID, calibration, Policies(default_policy(calibration)))
        for name, asked in queries:
            report = matcher.match(asked)
            best = answers.setdefault(f"{backend} {name}", {})
            for match, decision in report.judged:
                numbers = (
                    match.probability,
                    match.score,
                    match.query_start_seconds,
                    match.query_end_seconds,
                    match.ref_start_seconds,
                    match.ref_end_seconds,
                )
                best.setdefault(match.video_id, [decision, *(round(one, 6) for one in numbers)])
    return answers


if __name__ == "__main__":
    lines = [
        json.dumps(name) + ": " + json.dumps(best) for name, best in ordinary_matches().items()
    ]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
