"""`storyhash demo`: shows a complete run on synthetic videos."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from common.metrics import Metrics
from common.probability_text import probability_text
from common.settings import SearcherSettings, SecondOpinionSettings, Settings, load_settings
from ingest.catalogue import list_catalog
from storyhash.cli.shared.console import decision_style, err, out, print_json
from storyhash.cli.shared.options import JsonOption, ProfileOption
from storyhash.demo import QUERIES, DemoQuery, write_catalogue, write_queries
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.pipeline.index_plan import plan_work
from storyhash.pipeline.index_report import VideoOutcome
from storyhash.query.local import QueryOutcome, run_queries
from storyhash.wiring import open_for_indexing, open_for_queries


def demo(profile: ProfileOption = None, json: JsonOption = False) -> None:
    """Show how StoryHash finds copies of synthetic videos.

    It draws six videos, indexes them, and matches edited copies of them and one video that is no copy.

    Exit code 1 when a decision is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="storyhash-demo-") as scratch:
        video_folder, query_folder = Path(scratch) / "films", Path(scratch) / "queries"
        video_folder.mkdir()
        query_folder.mkdir()
        err.print("drawing six videos and seven queries ...")
        write_catalogue(video_folder)
        paths = write_queries(query_folder)
        settings = _settings(Path(scratch) / "data", profile)
        with open_for_indexing(settings) as indexing:
            chosen = indexing.stage.profile
            err.print(f"indexing the videos with profile {chosen} ...", markup=False)
            plan = plan_work(list_catalog([str(video_folder)]), indexing.index.videos)
            metrics = Metrics.create("demo")
            indexer = Indexer(indexing.index, indexing.stage, indexing.pool, metrics)
            indexer.index_all(plan.work, _must_work)
            indexing.index.save_snapshot()
        err.print("matching the queries ...")
        with open_for_queries(settings) as querying:
            outcomes = list(
                run_queries(querying.queries, querying.matcher, [str(path) for path in paths])
            )
    rows = [_row(query, outcome) for query, outcome in zip(QUERIES, outcomes, strict=True)]
    correct = sum(row.pop("correct") for row in rows)
    if json:
        print_json({"queries": rows, "correct": correct, "total": len(rows)})
    else:
        _show(rows, correct)
    if correct < len(rows):
        raise typer.Exit(1)


def _settings(data: Path, profile: str | None) -> Settings:
    """The settings in force, but with an index of its own in `data` and no policy of a bank."""
    settings = load_settings(data_dir=data, profile=profile)
    return settings.model_copy(
        update={
            "searcher": SearcherSettings(),
            "second_opinion": SecondOpinionSettings(),
            "matching": settings.matching.model_copy(update={"banks": {}}),
        }
    )


def _must_work(outcome: VideoOutcome) -> None:
    if outcome.error is not None:
        raise outcome.error


def _row(query: DemoQuery, outcome: QueryOutcome) -> dict[str, Any]:
    if outcome.report is None:
        raise outcome.error or RuntimeError("a demo query has no result")
    best = next(iter((*outcome.report.matches, *outcome.report.candidates)), None)
    decision = outcome.report.decision
    stem = None if best is None else Path(best.video_id).stem
    right = decision == query.expected and (query.video_id is None or stem == query.video_id)
    return {
        "name": query.name,
        "expected": query.expected,
        "decision": decision,
        "video_id": stem,
        "probability": None if best is None else round(best.probability, 4),
        "correct": right,
    }


def _show(rows: list[dict[str, Any]], correct: int) -> None:
    table = Table("query", "expected", "decision", "nearest video", "probability")
    for row in rows:
        probability = row["probability"]
        table.add_row(
            row["name"],
            row["expected"],
            Text(row["decision"], style=decision_style(row["decision"])),
            row["video_id"] or "",
            "" if probability is None else probability_text(probability),
        )
    out.print(table)
    out.print(f"{correct} of {len(rows)} correct", style="bold")
    out.print("next: storyhash index FOLDER, then storyhash match VIDEO")
