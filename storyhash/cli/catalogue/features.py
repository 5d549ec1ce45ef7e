"""`storyhash features`: runs the paper's steps one by one; each writes its result to disk."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from common.errors import UsageError, VideoError
from common.settings import Settings, load_settings
from embedder.clip_processes import SubprocessOpener
from embedder.encoders import MotionStep, PictureStep, StageClock
from ingest.catalogue import read_catalog
from ingest.decoder_pool import DecoderPool
from storyhash.cli.shared.console import check_interrupt, err, out, print_json
from storyhash.cli.shared.options import JsonOption, PathsArgument, ProfileOption
from storyhash.cli.shared.progress import progress
from storyhash.cli.shared.run_summary import tick
from storyhash.features.extract import Extractor
from storyhash.features.files import Row, read_features, write_features
from storyhash.features.fusing import fuse_features
from storyhash.features.steps import ACTION, GRAPH, Step, TrackFeature, TrackStep, VisualStep
from storyhash.features.vector_index import build_index_file, query_index_file
from storyhash.profiles import Profile, build_tracker, build_visual, resolve_profile, sampling

app = typer.Typer(
    help="Run the steps of the StoryHash paper one by one, from videos to an index.",
    no_args_is_help=True,
)


class Mode(StrEnum):
    """How visual and action features are combined."""

    storyhash = "storyhash"
    paper = "paper"
    visual = "visual"


class Per(StrEnum):
    """What a row of features describes."""

    segment = "segment"
    video = "video"


OutOption = Annotated[
    Path,
    typer.Option(
        "--out", help="The .npy file to write. A .json file beside it describes the rows."
    ),
]
PerOption = Annotated[
    Per,
    typer.Option(
        "--per", help="One row per segment, as in `storyhash index`, or one row per video."
    ),
]
ModeOption = Annotated[
    Mode,
    typer.Option(
        "--mode",
        help="storyhash (weighted fusion), paper (the published concatenation) or visual (without "
        "action features).",
    ),
]


# A function that loads the visual backend or the tracker of a profile.
MakeStep = Callable[[Profile, Settings], Step]


def _visual(chosen: Profile, settings: Settings) -> Step:
    clock = StageClock()
    pictures = PictureStep(build_visual(chosen, settings), clock)
    return VisualStep(pictures, clock, SubprocessOpener(settings.video, settings.ingest))


def _tracking(feature: TrackFeature, chosen: Profile, settings: Settings) -> Step:
    clock = StageClock()
    motion = MotionStep(build_tracker(chosen, settings), clock)
    return TrackStep(feature, motion, clock, SubprocessOpener(settings.video, settings.ingest))


def _add_extraction(name: str, make: MakeStep, description: str) -> None:
    """Add a command that extracts one kind of features."""

    @app.command(name, help=description)
    def extract(
        paths: PathsArgument,
        output: OutOption,
        profile: ProfileOption = None,
        per: PerOption = Per.segment,
        json: JsonOption = False,
    ) -> None:
        _extract(make, paths, output, profile, per, json)


_add_extraction(
    "clip",
    _visual,
    "Extract visual features, 512 dimensions.\n\n"
    "They are those of the profile's visual backend: CLIP's, or others. "
    "After an interruption, run the same command again: it resumes.",
)
_add_extraction(
    "action",
    partial(_tracking, ACTION),
    "Extract action features, 15 dimensions.\n\nThe profile's tracker measures the motion.",
)
_add_extraction(
    "graph",
    partial(_tracking, GRAPH),
    "Extract scene-graph features, 8 dimensions.\n\nThe profile's tracker finds the objects.",
)


@app.command()
def fuse(
    visual: Annotated[Path, typer.Argument(metavar="CLIP.npy", help="Visual features.")],
    action: Annotated[Path, typer.Argument(metavar="ACTION.npy", help="Action features.")],
    output: OutOption,
    mode: ModeOption = Mode.storyhash,
    json: JsonOption = False,
) -> None:
    """Fuse visual and action features into vectors of 527 dimensions.

    Both files must describe the same segments.
    """
    fused = fuse_features(
        read_features(visual, "visual"), read_features(action, "action"), mode.value
    )
    write_features(output, fused)
    _print_summary(
        {"out": str(output), "shape": list(fused.values.shape), "model_id": fused.model_id}, json
    )


@app.command()
def index(
    fused: Annotated[Path, typer.Argument(metavar="FUSED.npy", help="Fused features.")],
    output: Annotated[Path, typer.Option("--out", help="The index file to write.")],
    json: JsonOption = False,
) -> None:
    """Build a FAISS HNSW index of fused features in a file. A .json file beside it describes the rows."""
    features = read_features(fused, "fused")
    rows = build_index_file(features, output, load_settings().searcher)
    _print_summary({"out": str(output), "rows": rows, "model_id": features.model_id}, json)


@app.command()
def query(
    index_file: Annotated[Path, typer.Argument(metavar="INDEX", help="An index file.")],
    fused: Annotated[
        Path, typer.Argument(metavar="FUSED.npy", help="Fused features of the queries.")
    ],
    k: Annotated[int, typer.Option("--k", min=1, help="Number of nearest rows per query.")] = 5,
    json: JsonOption = False,
) -> None:
    """Print the nearest rows of an index file, with scores.

    They are printed for each row of a file of fused features.
    """
    features = read_features(fused, "fused")
    for row, hits in query_index_file(index_file, features, k, load_settings().searcher):
        if json:
            print_json({"query": _place(row), "hits": [_place(h.row, h.score) for h in hits]})
            continue
        out.print(_words(row) + ("" if row.informative else ": low information"), markup=False)
        for hit in hits:
            out.print(f"    {hit.score:.4f}  {_words(hit.row)}", markup=False)


def _extract(
    make: MakeStep, paths: list[str], output: Path, profile: str | None, per: Per, json: bool
) -> None:
    """Check the arguments, load the step, and extract the features of all videos."""
    if output.suffix != ".npy":
        raise UsageError(f"--out {output}: expected a name that ends in .npy")
    settings = load_settings(profile=profile)
    listed = read_catalog(paths)
    step = make(resolve_profile(settings), settings)
    err.print(f"extracting {step.kind} features with {step.backend}", markup=False)
    with DecoderPool(settings.video, settings.ingest) as pool, progress() as bar:
        task = bar.task(
            f"{step.kind} features", len(listed), [item.entry.video_id for item in listed]
        )

        def on_video(video_id: str, error: VideoError | None) -> None:
            tick(task, video_id, "extracted", error)
            check_interrupt()

        extractor = Extractor(step, pool, sampling=sampling(settings), whole=per is Per.video)
        try:
            report = extractor.run(listed, output, on_video)
        except KeyboardInterrupt:
            err.print("stopped; run the same command again to resume", markup=False)
            raise
    summary = {
        "out": str(output),
        "shape": list(report.features.values.shape),
        "model_id": report.features.model_id,
        "resumed": report.resumed,
        "failed": [
            {"video_id": video_id, "code": error.code, "message": str(error)}
            for video_id, error in report.failed.items()
        ],
    }
    _print_summary(summary, json)
    if report.failed:
        raise typer.Exit(1)


def _print_summary(summary: dict[str, Any], json: bool) -> None:
    if json:
        print_json(summary)
        return
    counts = {**summary, "failed": len(summary.get("failed", []))}
    for name, value in counts.items():
        if value:
            out.print(f"{name}: {value}", markup=False)


def _place(row: Row, score: float | None = None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "video_id": row.video_id,
        "start_seconds": row.start_seconds,
        "end_seconds": row.end_seconds,
    }
    return fields if score is None else {**fields, "score": round(score, 6)}


def _words(row: Row) -> str:
    return f"{row.video_id}  {row.start_seconds:.1f}-{row.end_seconds:.1f} s"
