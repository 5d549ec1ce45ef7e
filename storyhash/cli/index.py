"""`storyhash index`: make videos known."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from common.metrics import Metrics
from common.settings import Settings, load_settings
from common.types import DEFAULT_BANK
from common.uris import public_uri
from ingest.catalogue import Listing, list_catalog
from ingest.exclusion import Exclusion
from ingest.video_discovery import SkippedFiles
from storyhash.cli.console import check_interrupt, err, notice, out, print_json
from storyhash.cli.options import (
    DataOption,
    ExcludeOption,
    JsonOption,
    PathsArgument,
    ProfileOption,
    announce_data_folder,
)
from storyhash.cli.progress import Task, progress
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.pipeline.index_plan import IndexPlan, note_moves, plan_work
from storyhash.pipeline.index_report import IndexReport, VideoOutcome
from storyhash.pipeline.pruning import gone_videos
from storyhash.pipeline.relabelling import relabel
from storyhash.pipeline.snapshot_timer import SnapshotTimer
from storyhash.wiring import IndexServices, open_catalogue, open_for_indexing

_SNAPSHOT_SECONDS = 120.0
# Kinds of files passed over that are worth saying.
_SHOWN = 8

PruneOption = Annotated[
    bool,
    typer.Option(
        "--prune",
        help="Delete videos of the given folders and manifests from the index whose files are gone. They "
        "are listed first. Web addresses, and what lies in a folder that cannot be read, are kept.",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print what would be indexed and what --prune would delete; change nothing.",
    ),
]
BankOption = Annotated[str, typer.Option("--bank", help="Bank that the videos belong to.")]


def index(
    paths: PathsArgument,
    data: DataOption = None,
    profile: ProfileOption = None,
    bank: BankOption = DEFAULT_BANK,
    exclude: ExcludeOption = None,
    prune: PruneOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Index videos. You can run it again at any time: unchanged videos are skipped, and interrupted work
    resumes.

    Exit code 1 when a video could not be indexed; the others are indexed.
    """
    listing = list_catalog(paths, bank, Exclusion(exclude or ()))
    settings = load_settings(data_dir=data, profile=profile)
    if dry_run:
        _show_plan(settings, listing, json=json)
        return
    announce_data_folder(settings)
    with open_for_indexing(settings) as services:
        _announce(services)
        plan = plan_work(listing, services.index.videos)
        note_moves(plan.moved, services.index.videos)
        pruned = _prune(services, plan) if prune else []
        plan.work += relabel(plan.relabelled, services.index, check_interrupt)
        report = _run(services, plan)
        summary = _summary(services, plan, report, listing.passed_over)
        summary["pruned"] = pruned
    if json:
        print_json(summary)
    else:
        _show(summary)
    if summary["failed"]:
        raise typer.Exit(1)


def _prune(services: IndexServices, plan: IndexPlan) -> list[str]:
    """Delete the videos whose files are gone, and say which before."""
    gone = gone_videos(plan.removed, services.index.videos)
    if gone:
        err.print(f"deleting {len(gone)} videos whose files are gone:", markup=False)
        for video_id in gone:
            err.print(f"    {video_id}", markup=False)
        services.index.delete_videos(gone)
        deleted = set(gone)
        plan.removed = [video_id for video_id in plan.removed if video_id not in deleted]
    return gone


def _show_plan(settings: Settings, listing: Listing, *, json: bool) -> None:
    """What a run with --prune would do."""
    with open_catalogue(settings, writer=False) as index:
        plan = plan_work(listing, index.videos)
        gone = gone_videos(plan.removed, index.videos)
    told = {
        "dry_run": True,
        "index": [item.entry.video_id for item in plan.work],
        "unchanged": plan.unchanged,
        "relabel": [one.before.video_id for one in plan.relabelled],
        "prune": gone,
        "passed_over": listing.passed_over.to_json(),
    }
    if json:
        print_json(told)
        return
    out.print(f"{len(plan.work)} to index, {plan.unchanged} unchanged, {len(gone)} to prune")
    for video_id in gone:
        out.print(f"    {video_id}: its file is gone", markup=False)
    show_passed_over(listing.passed_over.to_json())


def _announce(services: IndexServices) -> None:
    for message in services.index.notices:
        notice(message)
    if services.chosen:
        err.print(services.announcement, markup=False)


def _run(services: IndexServices, plan: IndexPlan) -> IndexReport:
    with progress() as bar:
        task = bar.task("indexing", len(plan.work), [item.entry.video_id for item in plan.work])
        snapshots = SnapshotTimer(services.index, _SNAPSHOT_SECONDS)

        def on_video(outcome: VideoOutcome) -> None:
            _tick(task, outcome)
            snapshots.save_if_due()
            check_interrupt()

        indexer = Indexer(
            *(services.index, services.stage, services.pool, Metrics.create("index")),
            services.in_hand,
        )
        try:
            return indexer.index_all(plan.work, on_video)
        except KeyboardInterrupt:
            err.print(
                "stopped; indexed videos are kept, run the same command again to resume",
                markup=False,
            )
            raise
        finally:
            services.index.save_snapshot()


def _tick(task: Task, outcome: VideoOutcome) -> None:
    name = outcome.item.entry.video_id
    task.advance(name=name, video_seconds=outcome.duration_seconds)
    if outcome.error is not None:
        err.print(f"{name}: not indexed: {outcome.error}", style="red", markup=False)


def _summary(
    services: IndexServices, plan: IndexPlan, report: IndexReport, passed_over: SkippedFiles
) -> dict[str, Any]:
    failed = [
        *(
            (item.entry.video_id, public_uri(item.entry.uri), error.code, str(error))
            for item, error in report.failed
        ),
        *(
            (video.video_id, public_uri(video.uri), video.error_code, video.error_message)
            for video in plan.refused
        ),
        *((one.video_id, one.uri, one.code, one.message) for one in plan.failed),
    ]
    names = ("video_id", "uri", "code", "message")
    return {
        "data_dir": str(services.index.folder),
        "profile": services.stage.profile,
        "model_id": services.stage.model_id,
        "indexed": report.indexed,
        "unchanged": plan.unchanged,
        "failed": [dict(zip(names, one, strict=True)) for one in failed],
        "damaged": [
            {"video_id": item.entry.video_id, "message": message}
            for item, message in report.damaged
        ],
        "notes": [
            {"video_id": item.entry.video_id, "message": message} for item, message in report.notes
        ],
        "removed": plan.removed,
        "moved": [{"video_id": one.video_id, "uri": one.uri} for one in plan.moved],
        "relabelled": [
            {"video_id": one.before.video_id, "bank": one.item.entry.bank}
            for one in plan.relabelled
        ],
        "renamed": [asdict(one) for one in plan.renamed],
        "passed_over": passed_over.to_json(),
        "segments": report.segments,
        "video_seconds": round(report.video_seconds, 3),
        "elapsed_seconds": round(report.elapsed_seconds, 3),
        "realtime_factor": round(report.realtime_factor, 2),
        "stage_seconds": {
            step: round(seconds, 3) for step, seconds in sorted(report.stage_seconds.items())
        },
    }


def _show(summary: dict[str, Any]) -> None:
    out.print(
        f"{summary['indexed']} indexed, {summary['unchanged']} unchanged, "
        f"{len(summary['failed'])} failed",
        style="bold",
    )
    if summary["indexed"]:
        out.print(
            f"{summary['segments']} segments of {summary['video_seconds']:.0f} s of video in "
            f"{summary['elapsed_seconds']:.1f} s: {summary['realtime_factor']:.1f} times real time"
        )
        each = summary["video_seconds"] or 1.0
        spent = ", ".join(
            f"{step} {1000 * seconds / each:.1f}"
            for step, seconds in summary["stage_seconds"].items()
        )
        out.print(f"milliseconds of work per second of video: {spent}")
    for one in summary["damaged"]:
        out.print(f"{one['video_id']}: indexed, but {one['message']}", markup=False)
    for one in summary["notes"]:
        out.print(f"{one['video_id']}: indexed; {one['message']}", markup=False)
    if summary["failed"]:
        out.print("not indexed:")
        for one in summary["failed"]:
            out.print(f"    {one['video_id']}: {one['message']}", markup=False)
    if summary["moved"]:
        out.print(f"{len(summary['moved'])} moved: found at a new path, not indexed again")
    if summary["relabelled"]:
        out.print(
            f"{len(summary['relabelled'])} have another bank or description, and were not embedded again"
        )
    if summary["pruned"]:
        out.print(f"{len(summary['pruned'])} pruned: their files are gone")
    for one in summary["renamed"]:
        out.print(
            f"{one['uri']} has the id {one['video_id']}, because {one['taken_by']} already "
            f"has the id {one['taken_id']}",
            markup=False,
        )
    show_passed_over(summary["passed_over"])
    if summary["removed"]:
        out.print("indexed, but the file is gone (to remove a video: storyhash videos delete ID):")
        for video_id in summary["removed"]:
            out.print(f"    {video_id}", markup=False)


def show_passed_over(passed_over: list[dict[str, Any]]) -> None:
    """What in the folders was no video, or was left out."""
    if not passed_over:
        return
    words = [f"{one['count']} {one['what']} ({one['why']})" for one in passed_over[:_SHOWN]]
    more = len(passed_over) - _SHOWN
    if more > 0:
        words.append(f"{more} more kinds (listed with --json)")
    out.print(f"skipped: {', '.join(words)}", markup=False)
