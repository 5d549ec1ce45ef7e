"""`storyhash duplicates`: finds videos of the catalogue that are copies of one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from common.atomic_write import replacing
from common.errors import StorageError, UsageError
from common.settings import load_settings
from searcher.decisions import Decision
from storyhash.cli.shared.console import (
    check_interrupt,
    err,
    notice,
    out,
    output_may_end,
    print_json,
)
from storyhash.cli.shared.options import DataOption, JsonOption
from storyhash.cli.shared.progress import progress
from storyhash.duplicates.duplicate_groups import DEFAULT_SHARE, DuplicateGroup
from storyhash.duplicates.file_reading import FileReader
from storyhash.duplicates.moments import MomentReader
from storyhash.duplicates.page import page
from storyhash.duplicates.report import GroupReport, Totals, part_text, picture_text, reported
from storyhash.duplicates.scope import Scope, searchable_videos, videos_below
from storyhash.duplicates.search import DuplicateSearch
from storyhash.wiring import open_for_comparing


def duplicates(
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="PATH",
            help="Only groups that contain a video of this file or folder (default: all).",
        ),
    ] = None,
    data: DataOption = None,
    review: Annotated[
        bool, typer.Option("--review", help="Include pairs that a person should review.")
    ] = False,
    min_coverage: Annotated[
        float,
        typer.Option(
            "--min-coverage",
            min=0.51,
            max=1.0,
            help="Fraction of both videos that must match (copies), or of the shorter one (excerpts).",
        ),
    ] = DEFAULT_SHARE,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Also write an HTML page with thumbnails of the matches."
        ),
    ] = None,
    thumbnails: Annotated[
        int,
        typer.Option(min=0, max=2000, help="Maximum number of thumbnails, each at most 32 KiB."),
    ] = 300,
    json: JsonOption = False,
) -> None:
    """Find videos in the catalogue that are copies of one another.

    It uses the index alone: videos are decoded only for thumbnails. It obeys what people have set:
    disabled videos and banks, negative banks, exceptions, and verdicts "not a copy".

    In each group the video with the best picture comes first: the most pixels (width x height), then the
    most bits per second of the file, then the longest. Videos whose file is missing come last. Excerpts
    (shorter videos that lie in one of the copies) come after the copies.

    With PATH, only its videos, and those that they match, are compared with the catalogue. Some
    matches are found in one direction only: a very short or strongly edited copy may match its original,
    but not the other way round. Such a copy is missing if PATH does not contain it; without PATH every
    video is compared.

    Mirrored and rotated copies may be missed. `storyhash match` finds more of them, because it also
    searches through mirrored and rotated views. The second index, if there is one, is asked about every
    video.
    """
    _check_page(html)
    settings = load_settings(data_dir=data)
    decisions: tuple[Decision, ...] = ("copy", "review") if review else ("copy",)
    from storyhash.duplicates.rules import opened_pair_rules

    with (
        open_for_comparing(settings) as (index, matcher, second),
        opened_pair_rules(settings) as rules,
        FileReader(settings.video) as reader,
    ):
        for message in index.notices:
            notice(message)
        found = filter(rules.listed, searchable_videos(index.videos))
        videos = {video.video_id: video for video in found}
        matcher = matcher.under(rules.policies(matcher.policies))
        if second is not None:
            policies = rules.policies(second.matcher.policies)
            second = replace(second, matcher=second.matcher.under(policies))
        scope = videos_below(path, videos)
        _announce(scope)
        search = DuplicateSearch(matcher, videos, rules, min_coverage, decisions, second=second)
        groups = _searched(search, scope)
        totals = Totals()
        found_groups = reported(groups, videos, reader)
        reports = _shown(found_groups, totals, json=json, to_the_end=html is not None)
        if html is None:
            for _ in reports:
                pass
        else:
            _write(html, reports, MomentReader(reader, thumbnails), totals)
    if not json:
        out.print(str(totals), style="bold")


def _check_page(html: Path | None) -> None:
    """Check that the page can be written, before hours of work. Raises an error if it cannot."""
    if html is None:
        return
    if html.is_dir():
        raise UsageError(f"{html} is a folder; give --html the name of a file")
    if not html.absolute().parent.is_dir():
        raise UsageError(
            f"{html.absolute().parent} is not a folder; make it, or choose another --html"
        )


def _announce(scope: Scope) -> None:
    if scope.not_indexed:
        count, first = len(scope.not_indexed), scope.not_indexed[0]
        notice(
            f"not indexed, so not compared: {count}, first {first}; run `storyhash index {scope.path}`"
        )


def _searched(search: DuplicateSearch, scope: Scope) -> list[DuplicateGroup]:
    with progress() as bar:
        task = bar.task("comparing", len(scope.video_ids))

        def on_query(done: int, total: int) -> None:
            task.total = total
            task.advance(done - task.done)
            check_interrupt()

        search.on_query = on_query
        return search.groups(scope.video_ids)


def _shown(
    reports: Iterable[GroupReport], totals: Totals, *, json: bool, to_the_end: bool
) -> Iterator[GroupReport]:
    """Print each report and pass it on. to_the_end: pass on all, also if nobody reads what is printed."""
    for report in reports:
        check_interrupt()
        totals.add(report)
        with output_may_end() if to_the_end else nullcontext():
            if json:
                print_json(report.to_json())
            else:
                _print(report)
        yield report


def _print(report: GroupReport) -> None:
    """Print a group as a table. The id is the last column, because its length varies most."""
    lines = []
    for row in report.rows:
        length = f"{row.video.duration_seconds:.1f} s"
        name = f"{row.video.video_id}{row.note}"
        lines.append((str(row.rank), picture_text(row.ranked), length, *row.shared_text, name))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    out.print(report.heading, style="bold", markup=False)
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        out.print("  " + "  ".join(cells[:-1]), line[-1], markup=False)
    for part in report.shown_parts:
        out.print(f"  shared part: {part_text(part)}", markup=False)


def _write(
    path: Path, reports: Iterable[GroupReport], moments: MomentReader, totals: Totals
) -> None:
    def closing() -> list[str]:
        lines = [str(totals)]
        if moments.left_out:
            lines.append(f"Pairs without thumbnails, as the page has enough: {moments.left_out}")
        return lines

    try:
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for text in page(reports, moments.of, closing):
                file.write(text)
    except OSError as error:
        raise StorageError(
            f"{path}: {error.strerror}; choose another file with --html, or free some space"
        ) from None
    err.print(f"wrote {path}", markup=False)
