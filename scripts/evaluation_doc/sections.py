"""The sections of docs/evaluation.md, each from results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from embedder.fusion import ACTION_SHARE
from evaluation.data.records import QueryRow
from evaluation.measures.calibration import answers, reliability
from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import summarise
from evaluation.report import curves, figures, tables
from evaluation.report.report import composition, fusions_of, without_baselines
from evaluation.report.small_tables import stage_times_of
from evaluation.report.table import Column, Table
from scripts.evaluation_doc import generated_text as prose
from scripts.evaluation_doc.generated_text import COMPARED
from scripts.evaluation_doc.results import Results
from scripts.evaluation_doc.static_text import (
    FUSION,
    GOALS,
    HEAD,
    NOT_MEASURED,
    POLICY,
    REPRODUCE,
    SPEED,
    TRANSFORMS,
)
from scripts.evaluation_doc.targets import RANGE_TRANSFORMS, targets_of
from scripts.evaluation_doc.threshold_table import bars

DOCUMENT, FIGURES = Path("docs/evaluation.md"), Path("docs/figures")


def document(results: Results, root: Path) -> str:
    """The whole file; figures are drawn next to it. Raises UsageError where matplotlib is missing."""
    present = root / DOCUMENT
    held = present.read_text(encoding="utf-8") if present.is_file() else ""
    drawn = FigureFolder(root / FIGURES)
    parts = [
        HEAD,
        "## How it is measured\n\n" + prose.protocol(results.about),
        f"## Goals\n\n{GOALS}\n\n" + tables.targets(targets_of(results.full)).to_markdown(),
        *_results(results, drawn),
        *_ablations(results, drawn),
        *_times(results, held),
        f"## Transforms\n\n{TRANSFORMS}\n\n{prose.transforms_table()}",
        NOT_MEASURED,
        REPRODUCE,
    ]
    return "\n\n".join(parts) + "\n"


class FigureFolder:
    """Figures that the document shows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def figure(self, name: str, words: str, draw: Callable[[Path], None]) -> str:
        """Draw it; gives the line that shows it."""
        draw(self._folder / f"{name}.svg")
        return f"![{words}]({FIGURES.name}/{name}.svg)"


def _results(results: Results, drawn: FigureFolder) -> Iterator[str]:
    yield "## Group by group"
    for profile, rows in results.robustness.items():
        yield f"### `{profile}`, beside two plain ways of matching"
        yield tables.per_transform(summarise(rows, ("group",)), COMPARED).to_markdown()
        if len(without_baselines(rows)) < len(rows):
            yield prose.beside_baselines(rows)
    full = [row for rows in results.full.values() for row in rows]
    compared = [row for rows in results.robustness.values() for row in rows]
    yield drawn.figure(
        "similarity",
        "Similarity of copies and of best strangers",
        lambda path: figures.similarity_histograms(compared, path),
    )
    yield drawn.figure(
        "roc",
        "Copies found against strangers accepted",
        lambda path: curves.roc_curves(compared, path),
    )
    by_transform = summarise(full, ("transform",))
    yield "## Transform by transform"
    yield tables.per_transform(by_transform).to_markdown()
    flips = [one for one in by_transform if one.transform in figures.FLIPS]
    if flips:
        yield drawn.figure(
            "flip_bias", "Flips and turns", lambda path: figures.flip_bias(flips, path)
        )
    yield "Recall@1, 3 and 5, as the paper reports them:"
    yield tables.per_transform(
        summarise([row for row in full if row.group == "paper"], ("transform",)), tables.RANKING
    ).to_markdown()
    ranged = [row for row in full if row.transform in RANGE_TRANSFORMS]
    if ranged:
        yield "## Time ranges\n\nTrims and excerpts, and inserts of 3 s and more into another film:"
        yield tables.per_transform(summarise(ranged, ("transform",)), tables.RANGES).to_markdown()
        everything = tables.per_configuration(summarise(full, ("group",)), tables.RANGES)
        yield f"All transforms, those that shuffle or repeat time too:\n\n{everything.to_markdown()}"
    yield from _decisions(results, full, drawn)


def _decisions(results: Results, full: Sequence[QueryRow], drawn: FigureFolder) -> Iterator[str]:
    yield "## Decisions at the default policy"
    by_group = tables.per_configuration(summarise(full, ("group",)), tables.DECISIONS)
    yield by_group.to_markdown()
    for profile, rows in results.full.items():
        yield f"`{profile}`, the same answers decided at other probabilities; {POLICY}"
        yield bars(rows).to_markdown()
    if any(row.group == "real" for row in full):
        yield (
            "Videos as they are: `copy` asks for the copies made by others, `lookalike` for videos that "
            "look alike and are none."
        )
        yield _real(results.full).to_markdown()
    yield "### Whether a probability means what it says"
    for profile, rows in results.full.items():
        yield f"`{profile}`, best answer of every query of the open set:"
        yield _reliability(rows).to_markdown()
    yield drawn.figure(
        "reliability", "Reliability", lambda path: curves.reliability_diagram(full, path)
    )


def _real(full: Mapping[str, Sequence[QueryRow]]) -> Table:
    def counted(rows: Sequence[QueryRow]) -> Iterator[str]:
        copies = summarise(row for row in rows if row.transform == "copy")
        alike = summarise(row for row in rows if row.transform == "lookalike")
        shares = [
            copies[0].recall_at_1 if copies else Proportion(0, 0),
            copies[0].decisions.copies_accepted if copies else Proportion(0, 0),
            alike[0].lookalikes_accepted if alike else Proportion(0, 0),
        ]
        for one in shares:
            yield f"{one.count} of {one.total}" if one.total else tables.NOTHING

    heads = ("copies found first", "copies accepted", "look-alikes accepted")
    return Table(
        "Real copies and look-alikes",
        (Column("profile", code=True), *map(Column, heads)),
        tuple((profile, *counted(rows)) for profile, rows in full.items()),
    )


def _reliability(rows: Sequence[QueryRow]) -> Table:
    return Table(
        "Reliability",
        (Column("probability"), Column("mean"), Column("right, %"), Column("answers")),
        tuple(
            (
                f"{one.low:.1f} to {one.high:.1f}",
                f"{one.mean_probability:.3f}",
                tables.share(one.right),
                f"{one.right.total:,}",
            )
            for one in reliability(*answers(rows))
        ),
    )


def _ablations(results: Results, drawn: FigureFolder) -> Iterator[str]:
    if not results.ablation:
        return
    yield "## Ablation\n\nEach configuration has calibrations of its own, fitted as above."
    rows = [row for held in results.ablation.values() for row in held]
    for profile, held in results.ablation.items():
        asked = results.about_ablation[profile]
        yield (
            f"### `{profile}`\n\n{asked['edits']:,} queries of {len(asked['transforms'])} edits. "
            "Recall@1, then recall at 1 % false positives:"
        )
        yield tables.ablation(held).to_markdown()
        yield tables.ablation(held, "recall_at_fpr_1e2").to_markdown()
    yield drawn.figure(
        "ablation",
        "Recall at 1 % false positives by configuration",
        lambda path: figures.ablation_bars(summarise(rows, ("group",)), path, "recall_at_fpr_1e2"),
    )
    compared = fusions_of(rows)
    if len({row.configuration for row in compared}) < 2:
        return
    yield f"## The paper's fusion and ours\n\n{FUSION.format(share=100 * ACTION_SHARE)}"
    yield tables.fusion(summarise(compared)).to_markdown()
    for profile, held in results.ablation.items():
        yield prose.fusions(held, profile)
    energy = next(iter(results.about_ablation.values()))["action_energy"]
    yield drawn.figure("composition", "What a vector is made of", lambda p: composition(energy, p))


def _times(results: Results, held: str) -> Iterator[str]:
    if results.latency:
        yield "## The time of a query\n\n    storyhash evaluate latency --out RESULTS"
    for profile, told in results.latency.items():
        film = "a drawn film" if told["drawn"] else "films"
        yield (
            f"`{profile}`: {film} of {told['query_seconds']} s asked of {told['vectors']:,} segments on "
            f"{told['cores']} cores, median of {told['runs']}, milliseconds. `copy` is decided at the "
            "first look, `stranger` after a closer one, `thorough` is a stranger with `--thorough`."
        )
        cases = {one["case"]: one["seconds"] for one in told["cases"]}
        yield stage_times_of(cases).to_markdown()
    speed, search = results.block("speed", held), results.block("search", held)
    if speed and search:
        yield SPEED.format(speed=speed, search=search)
