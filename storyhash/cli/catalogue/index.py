"""`storyhash index`: indexes videos."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import typer

from common.metrics import Metrics
from common.settings import Settings, load_settings
from common.types import DEFAULT_BANK
from common.uris import public_uri
from ingest.catalogue import Listing, RejectedVideo, list_catalog
from ingest.exclusion import Exclusion
from ingest.video_discovery import SkippedFiles
from searcher.deletion.steps import delete_in_folder
from searcher.opening import stored_manifest
from storyhash.cli.shared.console import check_interrupt, err, notice, out, print_json
from storyhash.cli.shared.options import (
    BankOption,
    DataOption,
    ExcludeOption,
    JsonOption,
    PathsArgument,
    ProfileOption,
    SecondOpinionOption,
    announce_data_folder,
)
from storyhash.cli.shared.progress import progress
from storyhash.cli.shared.run_summary import show_counts, show_passed_over, show_videos, tick
from storyhash.open_state import forget_videos
from storyhash.pipeline.index_pipeline import Indexer
from storyhash.pipeline.index_plan import IndexPlan, note_moves, plan_work
from storyhash.pipeline.index_report import IndexReport, VideoOutcome
from storyhash.pipeline.pruning import GoneVideos, gone_videos
from storyhash.pipeline.relabelling import relabel
from storyhash.pipeline.second_plan import bring_in_step, plan_second
from storyhash.pipeline.second_writer import SecondWriter
from storyhash.pipeline.snapshot_timer import SnapshotTimer
from storyhash.wiring import (
    IndexServices,
    open_for_indexing,
    open_rows,
    open_second_for_indexing,
    profile_in_force,
    with_second_profile,
)

_SNAPSHOT_SECONDS = 120.0

PruneOption = Annotated[
    bool,
    typer.Option(
        "--prune",
        help="Delete from the index the videos of the given folders and manifests whose files are gone. "
        "They are listed first. Web addresses are kept, and so are the videos of a folder that cannot be "
        "read, is missing, or is empty.",
    ),
]
PruneFoldersOption = Annotated[
    bool,
    typer.Option(
        "--prune-folders",
        help="As --prune, and also delete the videos of sub-folders that are missing or empty. "
        "Without it they are kept, because a disk that is not mounted looks the same.",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print what would be indexed and what --prune would delete; change nothing.",
    ),
]


def index(
    paths: PathsArgument,
    data: DataOption = None,
    profile: ProfileOption = None,
    bank: BankOption = DEFAULT_BANK,
    exclude: ExcludeOption = None,
    prune: PruneOption = False,
    prune_folders: PruneFoldersOption = False,
    second_opinion: SecondOpinionOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Index videos. You can run it again at any time: unchanged videos are skipped, and interrupted work
    resumes.

    Exit code 1 when a video could not be indexed; the others are indexed.
    """
    listing = list_catalog(paths, bank, Exclusion(exclude or ()))
    settings = with_second_profile(load_settings(data_dir=data, profile=profile), second_opinion)
    if dry_run:
        _show_plan(settings, listing, json=json, folders=prune_folders)
        return
    announce_data_folder(settings)
    with (
        open_for_indexing(settings) as services,
        open_second_for_indexing(settings, services.index) as second,
    ):
        _announce(services)
        plan = plan_work(listing, services.index.videos)
        note_moves(plan.moved, services.index.videos)
        pruned = GoneVideos()
        if prune or prune_folders:
            pruned = _prune(settings, services, plan, folders=prune_folders)
        plan.embed_again(relabel(plan.relabelled, services.index, check_interrupt))
        if second is not None:
            _announce(second)
        report, of_second = _run(services, plan, second)
        summary = _summary(services, plan, report, listing.passed_over)
        summary |= {"pruned": pruned.gone, "not_pruned": pruned.in_folders}
        if second is not None:
            summary["second_opinion"] = _index_second(services, second, of_second)
    if json:
        print_json(summary)
    else:
        _show(summary)
    if summary["failed"] or summary.get("second_opinion", {}).get("failed"):
        raise typer.Exit(1)


def _index_second(
    services: IndexServices, second: IndexServices, so_far: IndexReport
) -> dict[str, Any]:
    """Bring the second index in step with the first one. so_far: what it got from the same clips."""
    plan = plan_second(services.index.videos, second.index.videos)
    plan.unchanged -= so_far.done
    bring_in_step(plan, second.index)
    report, _ = _run(second, plan, doing="indexing for the second opinion")
    report.add_report(so_far)
    return _counts(second, plan, report)


def _prune(
    settings: Settings, services: IndexServices, plan: IndexPlan, *, folders: bool
) -> GoneVideos:
    """Print and then delete the videos whose files are gone."""
    gone = gone_videos(plan.removed, services.index.videos, folders=folders)
    if gone.gone:
        err.print(f"deleting {len(gone.gone)} videos whose files are gone:", markup=False)
        for video_id in gone.gone:
            err.print(f"    {video_id}", markup=False)
        forget = partial(forget_videos, settings)
        deleted = set(delete_in_folder(services.index, None, forget, gone.gone))
        plan.removed = [video_id for video_id in plan.removed if video_id not in deleted]
    _tell_kept(gone)
    return gone


def _show_plan(settings: Settings, listing: Listing, *, json: bool, folders: bool) -> None:
    """Print what a run with --prune would do. Raises UsageError if a run would be refused."""
    chosen = profile_in_force(settings)
    if stored_manifest(settings) is None:
        notice(f"there is no index in {settings.data_dir}; a run makes one, profile {chosen.name}")
    with open_rows(settings) as videos:
        plan = plan_work(listing, videos)
        gone = gone_videos(plan.removed, videos, folders=folders)
    fields = {
        "dry_run": True,
        "index": [item.entry.video_id for item in plan.work],
        "unchanged": plan.unchanged,
        "relabel": [relabelled.before.video_id for relabelled in plan.relabelled],
        "prune": gone.gone,
        "not_pruned": gone.in_folders,
        "passed_over": listing.passed_over.to_json(),
    }
    if json:
        print_json(fields)
        return
    out.print(f"{len(plan.work)} to index, {plan.unchanged} unchanged, {len(gone.gone)} to prune")
    if plan.relabelled:
        out.print(
            f"{len(plan.relabelled)} get another bank or description, and are not embedded again"
        )
    for video_id in gone.gone:
        out.print(f"    {video_id}: its file is gone", markup=False)
    _tell_kept(gone)
    show_passed_over(listing.passed_over.to_json())


def _tell_kept(gone: GoneVideos) -> None:
    for folder, video_ids in gone.in_folders.items():
        notice(
            f"{folder} is missing or empty, so its disk may not be mounted: its {len(video_ids)} videos "
            "are not pruned; if they are gone for good, use --prune-folders"
        )


def _announce(services: IndexServices) -> None:
    for message in services.index.notices:
        notice(message)
    if services.chosen:
        err.print(services.announcement, markup=False)


def _run(
    services: IndexServices,
    plan: IndexPlan,
    second: IndexServices | None = None,
    doing: str = "indexing",
) -> tuple[IndexReport, IndexReport]:
    """Index what is planned. Returns what was done in this index, and in the second one."""
    of_second = IndexReport()
    writer = None
    if second is not None:
        writer = SecondWriter(services.index.videos, second.index, second.stage)
    indexes = [services.index, *([] if second is None else [second.index])]
    with progress() as bar:
        task = bar.task(doing, len(plan.work), [item.entry.video_id for item in plan.work])
        snapshots = [SnapshotTimer(index, _SNAPSHOT_SECONDS) for index in indexes]

        def on_video(outcome: VideoOutcome) -> None:
            name, seconds = outcome.item.entry.video_id, outcome.duration_seconds
            tick(task, name, "indexed", outcome.error, seconds)
            if outcome.second is not None:
                of_second.count(outcome.second)
            for timer in snapshots:
                timer.save_if_due()
            check_interrupt()

        indexer = Indexer(
            services.index,
            services.stage,
            services.pool,
            Metrics.create("index"),
            services.in_hand,
            services.thumbnails,
            writer,
        )
        try:
            report = indexer.index_all(plan.work, on_video)
            of_second.elapsed_seconds = report.elapsed_seconds if of_second.done else 0.0
            return report, of_second
        except KeyboardInterrupt:
            err.print(
                "stopped; indexed videos are kept, run the same command again to resume",
                markup=False,
            )
            raise
        finally:
            for index in indexes:
                index.save_snapshot()


def _counts(services: IndexServices, plan: IndexPlan, report: IndexReport) -> dict[str, Any]:
    refused = [
        RejectedVideo(video.video_id, public_uri(video.uri), video.error_code, video.error_message)
        for video in plan.refused
    ]
    return {
        "data_dir": str(services.index.folder),
        "profile": services.stage.profile,
        "model_id": services.stage.model_id,
        **report.to_json("indexed", [*refused, *plan.failed]),
        "unchanged": plan.unchanged,
        "removed": plan.removed,
        "realtime_factor": round(report.realtime_factor, 2),
        "stage_seconds": {
            step: round(seconds, 3) for step, seconds in sorted(report.stage_seconds.items())
        },
    }


def _summary(
    services: IndexServices, plan: IndexPlan, report: IndexReport, passed_over: SkippedFiles
) -> dict[str, Any]:
    return {
        **_counts(services, plan, report),
        "moved": [{"video_id": video.video_id, "uri": video.uri} for video in plan.moved],
        "relabelled": [
            {"video_id": video.before.video_id, "bank": video.item.entry.bank}
            for video in plan.relabelled
        ],
        "renamed": [asdict(video) for video in plan.renamed],
        "passed_over": passed_over.to_json(),
    }


def _show(summary: dict[str, Any]) -> None:
    show_counts(summary, "indexed")
    if summary["indexed"]:
        out.print(
            f"{summary['segments']} segments of {summary['video_seconds']:.0f} s of video in "
            f"{summary['elapsed_seconds']:.1f} s: {summary['realtime_factor']:.1f} times real time"
        )
        video_seconds = summary["video_seconds"] or 1.0
        spent = ", ".join(
            f"{step} {1000 * seconds / video_seconds:.1f}"
            for step, seconds in summary["stage_seconds"].items()
        )
        out.print(f"milliseconds of work per second of video: {spent}")
    show_videos(summary, "indexed")
    if summary["moved"]:
        out.print(f"{len(summary['moved'])} moved: found at a new path, not indexed again")
    if summary["relabelled"]:
        out.print(
            f"{len(summary['relabelled'])} have another bank or description, and were not embedded again"
        )
    if summary["pruned"]:
        out.print(f"{len(summary['pruned'])} pruned: their files are gone")
    for video in summary["renamed"]:
        out.print(
            f"{video['uri']} has the id {video['video_id']}, because {video['taken_by']} already "
            f"has the id {video['taken_id']}",
            markup=False,
        )
    show_passed_over(summary["passed_over"])
    if "second_opinion" in summary:
        out.print(f"second opinion, profile {summary['second_opinion']['profile']}:")
        show_counts(summary["second_opinion"], "indexed")
        show_videos(summary["second_opinion"], "indexed")
    if summary["removed"]:
        out.print("indexed, but the file is gone (to remove a video: storyhash videos delete ID):")
        for video_id in summary["removed"]:
            out.print(f"    {video_id}", markup=False)
