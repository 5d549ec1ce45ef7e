"""The generated sections of docs/evaluation.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from string import Template

from embedder.fusion import ACTION_SHARE
from evaluation.experiment.regression_baseline import full_configuration_rows
from evaluation.measures.calibration import answers, reliability
from evaluation.measures.grouping import by_label
from evaluation.measures.second_opinion import with_second_opinion
from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import summarise
from evaluation.records import QueryRow
from evaluation.report import curves, figures, tables
from evaluation.report.report import composition, distractor_table, fusion_rows, without_baselines
from evaluation.report.small_tables import stage_times
from evaluation.report.table import Column, Table
from scripts.evaluation_doc import generated_text as prose
from scripts.evaluation_doc.generated_text import COMPARED
from scripts.evaluation_doc.results import FIRST, Results
from scripts.evaluation_doc.static_text import (
    DISTRACTORS,
    FUSION,
    HARD,
    PICTURES,
    POLICY,
    SECOND_OPINION,
    SPEED,
)
from scripts.evaluation_doc.targets import RANGE_TRANSFORMS, targets_of
from scripts.evaluation_doc.threshold_table import threshold_table
from searcher.matching.second_opinion import LEAST_COPY_PROBABILITY

DOCUMENT, FIGURES = Path("docs/evaluation.md"), Path("docs/figures")
TEMPLATE = Path(__file__).with_name("template.md")


def document(results: Results, root: Path, measured: str) -> str:
    """The text of the whole file; writes the figures next to it. measured: commit and machine of the
    results. A part without results keeps its present text. Raises UsageError without matplotlib."""
    path = root / DOCUMENT
    present = path.read_text(encoding="utf-8") if path.is_file() else ""
    figure_folder = FigureFolder(root / FIGURES)
    parts = {
        "hard": _hard(results),
        "larger catalogues": _distractors(
            f"## Larger catalogues\n\n{DISTRACTORS}", results.distractors
        ),
        "more pictures": _distractors(
            f"### With films over other pictures\n\n{PICTURES}", results.pictures
        ),
        "ablation": _ablations(results, figure_folder),
        "latency": _latency(results),
    }
    sections = [
        *_results(results, figure_folder),
        *_second_opinion(results.full),
        *(part(name, made, measured, present) for name, made in parts.items()),
        *_speed(results, present),
    ]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        prose.protocol(results.about),
        measured=measured,
        goals=tables.targets(targets_of(results.answers)).to_markdown(),
        results="\n\n".join(filter(None, sections)),
        transforms_table=prose.transforms_table(),
    )


def part(name: str, made: Iterable[str], measured: str, present: str) -> str:
    """A part of the document between its marks. made: its sections; without any, its text in the present
    document is kept, or it is empty. measured: commit and machine."""
    start, end = f"<!-- part: {name} -->", "<!-- end of part -->"
    if text := "\n\n".join(made):
        return f"{start}\n\n{text}\n\nThis part was measured at {measured}.\n\n{end}"
    if start not in present:
        return ""
    return start + present.split(start, 1)[1].split(end, 1)[0] + end


class FigureFolder:
    """The figures of the document."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def figure(self, name: str, title: str, draw: Callable[[Path], None]) -> str:
        """Draw a figure; returns the Markdown that shows it."""
        draw(self._folder / f"{name}.svg")
        return f"![{title}]({FIGURES.name}/{name}.svg)"


def _results(results: Results, figure_folder: FigureFolder) -> Iterator[str]:
    yield "## Group by group"
    for profile, rows in results.robustness.items():
        yield f"### `{profile}`{_compared_with(rows)}"
        yield tables.per_transform(summarise(rows, ("group",)), COMPARED).to_markdown()
        if _compared_with(rows):
            yield prose.compared_with_baselines(rows)
    full = [row for rows in results.full.values() for row in rows]
    compared = [row for rows in results.robustness.values() for row in rows]
    yield figure_folder.figure(
        "similarity",
        "Similarity of copies and of best non-matches",
        lambda path: figures.similarity_histograms(compared, path),
    )
    yield figure_folder.figure(
        "roc",
        "Copies found against non-matches accepted",
        lambda path: curves.roc_curves(compared, path),
    )
    by_transform = summarise(full, ("transform",))
    yield "## Transform by transform"
    yield tables.per_transform(by_transform).to_markdown()
    flips = [summary for summary in by_transform if summary.transform in figures.FLIPS]
    if flips:
        yield figure_folder.figure(
            "flip_bias", "Flips and turns", lambda path: figures.flip_bias(flips, path)
        )
    yield "Recall@1, 3 and 5, as the paper reports them:"
    yield tables.per_transform(
        summarise([row for row in full if row.group == "paper"], ("transform",)), tables.RANKING
    ).to_markdown()
    ranged = [row for row in full if row.transform in RANGE_TRANSFORMS]
    if ranged:
        yield "## Time ranges\n\nTrims and excerpts, and inserts of 3 s and more into another video:"
        yield tables.per_transform(summarise(ranged, ("transform",)), tables.RANGES).to_markdown()
        everything = tables.per_configuration(summarise(full, ("group",)), tables.RANGES)
        yield "All transforms, including those that reorder or repeat time:"
        yield everything.to_markdown()
    yield from _decisions(results, full, figure_folder)


def _compared_with(rows: Sequence[QueryRow]) -> str:
    """The end of a heading over rows; empty without baselines."""
    return ", compared with two baselines" if len(without_baselines(rows)) < len(rows) else ""


def _hard(results: Results) -> Iterator[str]:
    """Like the other tables, of the hard transforms alone; real copies were queries of the run too."""
    if not results.hard:
        return
    yield f"## Hard transforms\n\n{HARD}"
    for profile, rows in results.hard.items():
        yield f"`{profile}`{_compared_with(rows)}"
        hard = [row for row in rows if row.group == "hard"]
        yield tables.per_transform(summarise(hard, ("group",)), COMPARED).to_markdown()
    run = {
        profile: [row for row in full_configuration_rows(rows) if row.group == "hard"]
        for profile, rows in results.hard.items()
    }
    full = [row for rows in run.values() for row in rows]
    measures = (*tables.ROBUSTNESS, "good_ranges")
    yield tables.per_transform(summarise(full, ("transform",)), measures).to_markdown()
    if set(FIRST) <= run.keys():
        yield "Two profiles together:"
        yield _together(run).to_markdown()


def _second_opinion(run: Mapping[str, Sequence[QueryRow]]) -> Iterator[str]:
    """What the two profiles that need no download find together."""
    if set(FIRST) <= run.keys():
        yield f"## Two profiles together\n\n{SECOND_OPINION.format(least=LEAST_COPY_PROBABILITY)}"
        yield _together(run).to_markdown()


def _together(run: Mapping[str, Sequence[QueryRow]]) -> Table:
    rows = list(chain.from_iterable(with_second_opinion(*(run[name] for name in FIRST))))
    return tables.per_configuration(summarise(rows, ("group",)), tables.SECOND_OPINION)


def _distractors(begin: str, runs: Mapping[str, Sequence[QueryRow]]) -> Iterator[str]:
    """The same queries with more segments in the catalogue. runs: rows by profile."""
    if not runs:
        return
    yield begin
    together: list[QueryRow] = []
    if set(FIRST) <= runs.keys():
        for some in zip(*(by_label(runs[name]).values() for name in FIRST), strict=True):
            together += [both for *_, both in with_second_opinion(*some)]
    for rows in filter(None, (together, *runs.values())):
        yield f"`{rows[0].profile}`"
        yield distractor_table(rows).to_markdown()


def _decisions(
    results: Results, full: Sequence[QueryRow], figure_folder: FigureFolder
) -> Iterator[str]:
    yield "## Decisions at the default policy"
    by_group = tables.per_configuration(summarise(full, ("group",)), tables.DECISIONS)
    yield by_group.to_markdown()
    for profile, rows in results.full.items():
        yield f"`{profile}`, the same answers with other thresholds; {POLICY}"
        yield threshold_table(rows).to_markdown()
    if any(row.group == "real" for row in full):
        yield (
            "Unedited videos: `copy` searches for copies made by other people, `lookalike` for videos "
            "that look alike and are no copies. Made look-alikes are a folder of videos made to look "
            "alike (terminals with other text, lectures of one template, one camera on two days)."
        )
        yield _real(results.full).to_markdown()
    yield "### Calibration"
    for profile, rows in results.full.items():
        yield f"`{profile}`, best answer of every query of the open set:"
        yield _reliability(rows).to_markdown()
    yield figure_folder.figure(
        "reliability", "Reliability", lambda path: curves.reliability_diagram(full, path)
    )


def _real(full: Mapping[str, Sequence[QueryRow]]) -> Table:
    def counted(rows: Sequence[QueryRow]) -> Iterator[str]:
        copies = summarise(row for row in rows if row.transform == "copy")
        shares = [
            copies[0].recall_at_1 if copies else Proportion(0, 0),
            copies[0].decisions.copies_accepted if copies else Proportion(0, 0),
        ]
        for transform in ("lookalike", "made_lookalike"):
            alike = summarise(row for row in rows if row.transform == transform)
            shares.append(alike[0].lookalikes_accepted if alike else Proportion(0, 0))
            shares.append(alike[0].lookalikes_to_review if alike else Proportion(0, 0))
        for proportion in shares:
            yield (
                f"{proportion.count} of {proportion.total}" if proportion.total else tables.NOTHING
            )

    heads = (
        *("copies found first", "copies accepted", "look-alikes accepted", "look-alikes to review"),
        *("made look-alikes accepted", "made look-alikes to review"),
    )
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
                f"{bin_.low:.1f} to {bin_.high:.1f}",
                f"{bin_.mean_probability:.3f}",
                tables.share(bin_.right),
                f"{bin_.right.total:,}",
            )
            for bin_ in reliability(*answers(rows))
        ),
    )


def _ablations(results: Results, figure_folder: FigureFolder) -> Iterator[str]:
    if not results.ablation:
        return
    yield "## Ablation\n\nEach configuration has calibrations of its own, fitted as above."
    rows = [row for profile_rows in results.ablation.values() for row in profile_rows]
    for profile, profile_rows in results.ablation.items():
        run = results.about_ablation[profile]
        yield (
            f"### `{profile}`\n\n{run['edits']:,} queries of {len(run['transforms'])} edits. "
            "Recall@1, then recall at 1 % false positives:"
        )
        yield tables.ablation(profile_rows).to_markdown()
        yield tables.ablation(profile_rows, "recall_at_fpr_1e2").to_markdown()
    yield figure_folder.figure(
        "ablation",
        "Recall at 1 % false positives by configuration",
        lambda path: figures.ablation_bars(summarise(rows, ("group",)), path, "recall_at_fpr_1e2"),
    )
    compared = fusion_rows(rows)
    if len({row.configuration for row in compared}) < 2:
        return
    yield f"## The paper's fusion and ours\n\n{FUSION.format(share=100 * ACTION_SHARE)}"
    yield tables.fusion(summarise(compared)).to_markdown()
    for profile, profile_rows in results.ablation.items():
        yield prose.fusions(profile_rows, profile)
    energy = next(iter(results.about_ablation.values()))["action_energy"]
    yield figure_folder.figure(
        "composition", "What a vector is made of", lambda p: composition(energy, p)
    )


def _latency(results: Results) -> Iterator[str]:
    if results.latency:
        yield "## The time of a query\n\n    storyhash evaluate latency --out RESULTS"
    for profile, run in results.latency.items():
        video = "a synthetic video" if run["drawn"] else "videos"
        yield (
            f"`{profile}`: {video} of {run['query_seconds']} s in a catalogue of {run['vectors']:,} "
            f"segments on {run['cores']} cores, median of {run['runs']}, milliseconds. `copy` is "
            "decided in the first pass, a non-match in the second pass; `thorough` is a non-match with "
            "`--thorough`. The first pass begins during decoding; `embed` is what is left of it then. "
            "Steps of a pass overlap, so they may add up to more than the total."
        )
        cases = {case["case"]: case["seconds"] for case in run["cases"]}
        yield stage_times(cases).to_markdown()


def _speed(results: Results, present: str) -> Iterator[str]:
    speed, search = results.block("speed", present), results.block("search", present)
    if speed and search:
        yield SPEED.format(speed=speed, search=search)
