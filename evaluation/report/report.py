"""The report of a run: Parquet, tables in Markdown and LaTeX, figures."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.atomic_write import replacing
from common.errors import UsageError
from common.extras import install_command
from common.types import ACTION_DIMENSION, GRAPH_DIMENSION, VISUAL_DIMENSION
from evaluation.data.record_io import write_rows
from evaluation.measures.relevance import is_lookalike
from evaluation.measures.summary import summarise
from evaluation.methods.baselines import BASELINES
from evaluation.methods.configurations import FUSIONS
from evaluation.records import QueryRow
from evaluation.report import curves, figures, tables
from evaluation.report.plot_style import REPORT_SUFFIXES
from evaluation.report.table import Table

EXTRA = install_command("evaluation")
GROUPS = (
    "recall_at_1",
    "recall_at_fpr_1e2",
    "recall_at_fpr_1e3",
    "uap",
    "copies_accepted",
    "strangers_accepted",
    "calibration_error",
    "good_ranges",
)
BASELINE_MEASURES = ("recall_at_1", "recall_at_fpr_1e2", "recall_at_fpr_1e3", "uap")

Draw = Callable[[Path], None]


@dataclass
class Report:
    """The files written, and messages about those that could not be."""

    written: list[Path] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def add_tables(self, folder: Path, by_name: Mapping[str, Table]) -> None:
        """Write each table as NAME.md and NAME.tex."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in by_name.items():
            for suffix, text in (
                (".md", f"{table.caption}.\n\n{table.to_markdown()}"),
                (".tex", table.to_latex(f"tab:{name}")),
            ):
                with replacing(folder / f"{name}{suffix}") as temporary:
                    temporary.write_text(text + "\n", encoding="utf-8")
                self.written.append(folder / f"{name}{suffix}")

    def add_figures(self, folder: Path, by_name: Mapping[str, Draw]) -> None:
        """Write each figure in every format; figures without data are skipped."""
        if not _has("matplotlib"):
            self.notices.append(f"no figures: they need matplotlib ({EXTRA})")
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in by_name.items():
            try:
                draw(folder / name)
            except UsageError as error:
                self.notices.append(f"no figure of {name.replace('_', ' ')}: {error}")
            else:
                self.written += [folder / f"{name}{suffix}" for suffix in REPORT_SUFFIXES]

    def add_parquet(self, path: Path, rows: Sequence[QueryRow]) -> None:
        """Write the rows as Parquet beside their JSON Lines, if pyarrow is installed."""
        if not _has("pyarrow"):
            self.notices.append(f"no Parquet: it needs pyarrow ({EXTRA})")
            return
        write_rows(path.with_suffix(".parquet"), rows)
        self.written.append(path.with_suffix(".parquet"))


def robustness_report(rows: Sequence[QueryRow], paths: Mapping[str, Path], out: Path) -> Report:
    """Tables and figures of rows of one or more profiles; paths: of the rows, by profile. Rows with
    distractors are only in the table of distractors."""
    report = _start_report(rows, paths)
    by_name = group_tables(rows)
    rows = [row for row in rows if not row.distractors]
    by_group, by_transform = summarise(rows, ("group",)), summarise(rows, ("transform",))
    report.add_tables(
        out / "tables",
        {
            **by_name,
            "transforms": tables.per_transform(by_transform),
            "ranking": tables.per_transform(by_transform, tables.RANKING, "Recall@1, 3 and 5"),
            "separation": tables.per_configuration(
                by_group, tables.SEPARATION, "Copies and best non-matches"
            ),
            "decisions": tables.per_configuration(
                summarise(without_baselines(rows), ("group",)),
                tables.DECISIONS,
                "Decisions at the default policy",
            ),
            "lookalikes": tables.per_transform(
                summarise(
                    [row for row in without_baselines(rows) if is_lookalike(row)], ("transform",)
                ),
                tables.LOOKALIKES,
                "Look-alikes at the default policy",
            ),
            "ranges": tables.per_transform(
                summarise(without_baselines(rows), ("transform",)), tables.RANGES, "Time ranges"
            ),
        },
    )
    report.add_figures(
        out / "figures",
        {
            "similarity": lambda path: figures.similarity_histograms(rows, path),
            "flip_bias": lambda path: figures.flip_bias(by_transform, path),
            "roc": lambda path: curves.roc_curves(rows, path),
            "precision_recall": lambda path: curves.precision_recall_curves(rows, path),
            "reliability": lambda path: curves.reliability_diagram(without_baselines(rows), path),
        },
    )
    return report


def distractor_table(rows: Sequence[QueryRow]) -> Table:
    """A row per number of distractors, over all transforms together and group by group."""
    own_rows = without_baselines(rows)
    return tables.per_configuration(
        [*summarise(own_rows), *summarise(own_rows, ("group",))],
        tables.DISTRACTORS,
        "With distractors",
    )


def group_tables(rows: Sequence[QueryRow]) -> dict[str, Table]:
    """Tables by group: all measures of StoryHash, and a comparison with the baselines if there are
    any."""
    by_name: dict[str, Table] = {}
    if any(row.distractors for row in rows):
        by_name["distractors"] = distractor_table(rows)
        rows = [row for row in rows if not row.distractors]
    own_rows = without_baselines(rows)
    by_name["groups"] = tables.per_configuration(
        summarise(own_rows, ("group",)), GROUPS, "By group"
    )
    if len(own_rows) < len(rows):
        by_name["peers"] = tables.per_transform(
            summarise(rows, ("group",)), BASELINE_MEASURES, "Comparison with two baselines"
        )
    return by_name


def ablation_report(
    rows: Sequence[QueryRow],
    paths: Mapping[str, Path],
    out: Path,
    action_energy: Mapping[str, float],
) -> Report:
    """Tables and figures that compare configurations, for one or more profiles. action_energy: by fusion,
    the share of the action block in a vector's energy, 0 to 1."""
    report = _start_report(rows, paths)
    by_name: dict[str, Table] = {}
    for profile, part in _by_profile(rows):
        end = f"-{profile}" if len(paths) > 1 else ""
        by_name[f"ablation{end}"] = tables.ablation(part)
        by_name[f"ablation_at_fpr{end}"] = tables.ablation(part, "recall_at_fpr_1e2")
        by_name[f"fusion{end}"] = tables.fusion(summarise(fusion_rows(part)))
    report.add_tables(out / "tables", by_name)
    report.add_figures(
        out / "figures",
        {
            "ablation": lambda path: figures.ablation_bars(summarise(rows, ("group",)), path),
            "ablation_at_fpr": lambda path: figures.ablation_bars(
                summarise(rows, ("group",)), path, "recall_at_fpr_1e2"
            ),
            "fusion_similarity": lambda path: figures.similarity_histograms(
                fusion_rows(rows), path
            ),
            "composition": lambda path: composition(action_energy, path),
        },
    )
    return report


def composition(action_energy: Mapping[str, float], path: Path) -> None:
    """Draw the blocks of a vector under each fusion, and name the block beside it."""
    figures.vector_composition(
        {
            name: (
                figures.VectorBlock("visual", VISUAL_DIMENSION, 1 - share),
                figures.VectorBlock("action", ACTION_DIMENSION, share),
            )
            for name, share in action_energy.items()
        },
        path,
        (figures.VectorBlock("scene graph", GRAPH_DIMENSION, 0.0),),
    )


def fusion_rows(rows: Sequence[QueryRow]) -> list[QueryRow]:
    """Rows of the configurations that differ only in the fusion."""
    return [row for row in rows if row.configuration in FUSIONS]


def _start_report(rows: Sequence[QueryRow], paths: Mapping[str, Path]) -> Report:
    report = Report(written=list(paths.values()))
    for profile, part in _by_profile(rows):
        report.add_parquet(paths[profile], part)
    report.notices = list(dict.fromkeys(report.notices))
    return report


def _by_profile(rows: Sequence[QueryRow]) -> Iterator[tuple[str, list[QueryRow]]]:
    parts: dict[str, list[QueryRow]] = {}
    for row in rows:
        parts.setdefault(row.profile, []).append(row)
    yield from parts.items()


def without_baselines(rows: Sequence[QueryRow]) -> list[QueryRow]:
    """The rows of StoryHash: those of baselines have no meaningful probabilities and ranges."""
    return [row for row in rows if row.configuration not in BASELINES]


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
