"""Prints the results of a run over many videos, during the run and at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import VideoError
from storyhash.cli.shared.console import err, out
from storyhash.cli.shared.progress import Task

# Maximum number of kinds of ignored files that are printed.
_SHOWN = 8


def tick(
    task: Task, video_id: str, verb: str, error: VideoError | None, video_seconds: float = 0.0
) -> None:
    """Count a video that has ended and print its error. verb: what was done with it if it did not
    fail."""
    task.advance(name=video_id, video_seconds=video_seconds)
    if error is not None:
        reason = without_name(str(error), video_id)
        err.print(f"{video_id}: not {verb}: {reason}", style="red", markup=False)


def without_name(message: str, name: str) -> str:
    """A message about an address without the address, for a line that begins with it."""
    return message.removeprefix(f"{name}: ")


def show_counts(summary: Mapping[str, Any], verb: str) -> None:
    """Print how many videos were done, were unchanged, and failed."""
    out.print(
        f"{summary[verb]} {verb}, {summary['unchanged']} unchanged, {len(summary['failed'])} failed",
        style="bold",
    )


def show_videos(summary: Mapping[str, Any], verb: str) -> None:
    """Print the messages about damaged, noted and failed videos."""
    for video in summary["damaged"]:
        out.print(f"{video['video_id']}: {verb}, but {video['message']}", markup=False)
    for video in summary["notes"]:
        out.print(f"{video['video_id']}: {verb}; {video['message']}", markup=False)
    if summary["failed"]:
        out.print(f"not {verb}:")
    for video in summary["failed"]:
        reason = without_name(video["message"], video["video_id"])
        out.print(f"    {video['video_id']}: {reason}", markup=False)


def show_passed_over(passed_over: Sequence[Mapping[str, Any]]) -> None:
    """Print which files in the folders were ignored."""
    if not passed_over:
        return
    words = [f"{files['count']} {files['what']} ({files['why']})" for files in passed_over[:_SHOWN]]
    more = len(passed_over) - _SHOWN
    if more > 0:
        words.append(f"{more} more kinds (listed with --json)")
    out.print(f"skipped: {', '.join(words)}", markup=False)
