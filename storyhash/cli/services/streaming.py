"""`storyhash ingest`, `embed` and `search`: run the three services over Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.errors import UsageError
from common.logs import start_logging
from common.printable import printable
from common.settings import Settings, load_settings
from common.tracing import start_tracing
from common.types import DEFAULT_BANK
from common.uris import public_uri
from ingest.catalogue import Listing, RejectedVideo, list_catalog, without_taken
from ingest.exclusion import Exclusion
from ingest.sending_plan import SendingPlan
from storyhash.cli.shared.console import INTERRUPTED, err, out, print_json
from storyhash.cli.shared.options import (
    BankOption,
    DataOption,
    ExcludeOption,
    JsonOption,
    PathsArgument,
    ProfileOption,
    announce_data_folder,
)
from storyhash.cli.shared.progress import progress
from storyhash.cli.shared.run_summary import show_counts, show_passed_over, show_videos, tick
from storyhash.cli.shared.shutdown import asked_to_stop
from storyhash.services.streaming.reconcile import AskStates

if TYPE_CHECKING:
    from storyhash.services.streaming.segment_publisher import OnSent, SendReport

# Default ports. They differ, so that all services can run on one machine.
_SEARCH_PORT, _EMBED_PORT, _INGEST_PORT = 8000, 8001, 8002


def embed(profile: ProfileOption = None) -> None:
    """Run an embedder over Kafka: it turns segments into vectors.

    It reads segments from Kafka, writes vectors to Kafka, and embeds queries over HTTP. Several
    embedders share the work.

    SIGTERM or Ctrl-C stops it cleanly.
    """
    from storyhash.services.streaming.embed_service import run_embedder

    settings = _listening(load_settings(profile=profile), _EMBED_PORT)
    start_logging(settings.service)
    start_tracing("embed", settings.service)
    with asked_to_stop() as stopping:
        run_embedder(settings, stopping)


def search(data: DataOption = None) -> None:
    """Run the searcher over Kafka: it keeps the index and answers queries.

    It reads vectors from Kafka into the index, and matches videos over HTTP.

    SIGTERM or Ctrl-C stops it cleanly.
    """
    from storyhash.services.streaming.search_service import run_searcher

    settings = _listening(load_settings(data_dir=data), _SEARCH_PORT)
    start_logging(settings.service)
    start_tracing("search", settings.service)
    announce_data_folder(settings)
    with asked_to_stop() as stopping:
        run_searcher(settings, stopping)


def ingest(
    paths: PathsArgument,
    data: DataOption = None,
    bank: BankOption = DEFAULT_BANK,
    exclude: ExcludeOption = None,
    backfill: Annotated[
        bool,
        typer.Option(
            "--backfill",
            help="Send to the backfill topic. Live videos always have priority over it.",
        ),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Also send videos that were sent before and have not changed."
        ),
    ] = False,
    reconcile: Annotated[
        bool,
        typer.Option(
            "--reconcile",
            help="Ask the searcher at --server which videos are searchable, and send missing "
            "ones again. Deleted videos that have not changed are not sent.",
        ),
    ] = False,
    server: Annotated[
        str | None, typer.Option("--server", help="Address of the searcher, for --reconcile.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Send videos to Kafka as segments. You can run it again at any time: unchanged videos are skipped,
    and interrupted work resumes. The data folder keeps a record of what was sent.

    Exit code 1 when a video could not be sent; the others are sent.
    """
    from storyhash.services.streaming.ingest_service import run_ingest

    settings = _listening(load_settings(data_dir=data), _INGEST_PORT)
    start_logging(settings.service)
    start_tracing("ingest", settings.service)
    announce_data_folder(settings)
    if reconcile != (server is not None):
        raise UsageError(
            "give --reconcile and --server together: the searcher says which videos are missing"
        )
    listing = without_taken(list_catalog(paths, bank, Exclusion(exclude or ())))

    def on_plan(plan: SendingPlan) -> OnSent:
        task = bar.task(
            "sending", len(plan.work), [video_task.entry.video_id for video_task in plan.work]
        )
        return lambda video_task, error: tick(task, video_task.entry.video_id, "sent", error)

    with asked_to_stop() as stopping, progress() as bar, _catalogue(server) as states:
        run = run_ingest(
            settings,
            listing.videos,
            backfill=backfill,
            again=again,
            on_plan=on_plan,
            stopping=stopping,
            states=states,
        )
    summary = _summary(run.plan, run.report, listing)
    if json:
        print_json(summary)
    else:
        _show(summary)
    if run.report.stopped:
        raise typer.Exit(INTERRUPTED)
    if summary["failed"]:
        raise typer.Exit(1)


@contextmanager
def _catalogue(server: str | None) -> Iterator[AskStates | None]:
    """A function that asks the searcher at `server` for the states of videos; None without `server`."""
    if server is None:
        yield None
        return
    from storyhash.cli.shared.remote_catalogue import remote_catalogue

    with remote_catalogue(server) as remote:
        yield remote.states


def _listening(settings: Settings, port: int) -> Settings:
    if settings.http.port is not None:
        return settings
    http = settings.http.model_copy(update={"port": port})
    return settings.model_copy(update={"http": http})


# Messages about a run with --reconcile.
_RECONCILED = {
    "lacking": "were sent before but are not searchable; sent again:",
    "under_way": "are not searchable yet, and embedders still have segments to process; try again later:",
    "deleted": "were deleted and are not sent; --again sends them:",
    "stale": (
        "are stale: the catalogue has a newer version from another producer; --again sends "
        "them as the newest version:"
    ),
}


def _summary(plan: SendingPlan, report: SendReport, listing: Listing) -> dict[str, Any]:
    refused = [
        RejectedVideo(entry.video_id, public_uri(entry.uri), code, message)
        for entry, code, message in plan.refused
    ]
    return {
        **report.to_json("sent", [*refused, *listing.refused]),
        "unchanged": plan.unchanged,
        "left": len(plan.work) - report.done - len(report.failed),
        "lacking": plan.lacking,
        "under_way": plan.under_way,
        "deleted": plan.deleted,
        "stale": plan.stale,
        "clip_bytes": report.clip_bytes,
        "passed_over": listing.passed_over.to_json(),
    }


def _show(summary: dict[str, Any]) -> None:
    show_counts(summary, "sent")
    for name, words in _RECONCILED.items():
        if summary[name]:
            out.print(f"{len(summary[name])} {words}")
        for video_id in summary[name]:
            out.print(f"    {printable(video_id)}", markup=False)
    if summary["segments"]:
        out.print(
            f"{summary['segments']} segments, {summary['clip_bytes'] / 1e6:.1f} MB, of "
            f"{summary['video_seconds']:.0f} s of video in {summary['elapsed_seconds']:.1f} s"
        )
    show_videos(summary, "sent")
    show_passed_over(summary["passed_over"])
    if summary["left"]:
        err.print(
            f"stopped; {summary['left']} videos are left, run the same command again to resume"
        )
