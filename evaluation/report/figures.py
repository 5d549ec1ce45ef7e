"""Bar charts and histograms of summaries and rows. Curves are in `evaluation.report.curves`.

Each function writes one file; its suffix, .png, .pdf or .svg, is the format. Raises UsageError if
matplotlib is missing or there is nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import UsageError
from evaluation.measures.grouping import by_label
from evaluation.measures.ranking import similarities
from evaluation.measures.registry import MEASURES
from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import Summary
from evaluation.records import QueryRow
from evaluation.report.plot_style import INK, check_any, colour, legend_above, panels, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FLIPS = ("flip_h", "flip_v", "rotate_90", "rotate_180")
_HISTOGRAM_BINS = 50
_LABELLED_INSIDE = 5.0


@dataclass(frozen=True, slots=True)
class VectorBlock:
    """One block of the vector: its name, its dimensions, and its share of the energy, 0 to 1."""

    name: str
    dimensions: int
    energy: float


def ablation_bars(summaries: Sequence[Summary], path: Path, measure: str = "recall_at_1") -> None:
    """A panel per group and a bar per configuration, with Wilson's 95 % interval."""
    check_any(summaries)
    if measure not in MEASURES:
        raise UsageError(f"no measure {measure!r}; there are {', '.join(MEASURES)}")
    groups = list(dict.fromkeys(summary.group for summary in summaries))
    labels = by_label(summaries)
    values = {
        (summary.group, label): MEASURES[measure].of(summary)
        for label, part in labels.items()
        for summary in part
    }
    with panels(
        path, 1.6 + 1.9 * len(groups), 0.9 + 0.28 * len(labels), columns=len(groups)
    ) as drawing:
        for axes, group in zip(drawing.axes, groups, strict=True):
            for index, label in enumerate(labels):
                value = values.get((group, label), math.nan)
                if isinstance(value, Proportion):
                    _interval_bar(axes, index, value)
                else:
                    axes.barh(index, value, height=0.62, color=colour(0))
            axes.set_yticks(
                range(len(labels)), labels if axes is drawing.axes[0] else [""] * len(labels)
            )
            axes.set_ylim(len(labels) - 0.4, -0.6)
            axes.grid(False, axis="y")
            axes.tick_params(axis="y", length=0)
            title(axes, group or "all transforms")
            if all(isinstance(value, Proportion) for value in values.values()):
                axes.set_xticks(range(0, 101, 25))
                axes.set_xlim(0, 124)
        drawing.figure.supxlabel(MEASURES[measure].title, fontsize=9, color=INK)


def similarity_histograms(rows: Iterable[QueryRow], path: Path) -> None:
    """Histograms of the raw similarity of copies and of best non-matches, each normalised to 100 %; a
    panel per profile and configuration; closed set."""
    parts = by_label(rows)
    check_any(parts)
    drawn = {label: similarities(part) for label, part in parts.items()}
    everything = np.concatenate([values for pair in drawn.values() for values in pair])
    check_any(everything)
    edges = np.linspace(min(0.0, everything.min()), max(1.0, everything.max()), _HISTOGRAM_BINS + 1)
    with panels(path, 5.2, 0.7 + 1.7 * len(drawn), rows=len(drawn)) as drawing:
        for axes, (label, (copies, non_matches)) in zip(drawing.axes, drawn.items(), strict=True):
            for index, (name, values) in enumerate(
                [("copies", copies), ("best non-matches", non_matches)]
            ):
                if len(values):
                    weights = np.full(len(values), 100 / len(values))
                    style: dict[str, Any] = {
                        "bins": edges,
                        "weights": weights,
                        "color": colour(index),
                    }
                    axes.hist(values, **style, alpha=0.35, histtype="stepfilled", label=name)
                    axes.hist(values, **style, histtype="step", linewidth=1.1)
                    axes.axvline(values.mean(), color=colour(index), linewidth=1, linestyle=":")
            title(axes, label)
            axes.set_ylabel("share of queries, %")
            axes.set_xlim(edges[0], edges[-1])
        drawing.axes[-1].set_xlabel("similarity (inner product); dotted: means")
        legend_above(drawing.figure, drawing.axes[0])


def flip_bias(summaries: Sequence[Summary], path: Path) -> None:
    """Recall@1 with its interval, and mean similarity of copies (filled) and best non-matches
    (hollow), under flips and right-angle turns; summaries by transform."""
    by_transform = {
        (summary.transform, label): summary
        for label, part in by_label(summaries).items()
        for summary in part
        if summary.transform in FLIPS
    }
    check_any(by_transform)
    labels = list(dict.fromkeys(label for _, label in by_transform))
    present = [name for name in FLIPS if any(name == transform for transform, _ in by_transform)]
    with panels(path, 7.2, 2.8, columns=2) as drawing:
        recall, similarity = drawing.axes
        for index, label in enumerate(labels):
            shift = 0.2 * (index - (len(labels) - 1) / 2)
            for x, transform in enumerate(present):
                summary = by_transform.get((transform, label))
                if summary is None:
                    continue
                name = label if x == 0 else None
                _interval_dot(recall, x + shift, summary.recall_at_1, colour(index), name)
                dot: dict[str, Any] = {"color": colour(index), "marker": "o", "linestyle": ""}
                similarity.plot(x + shift, summary.separation.copies, **dot)
                similarity.plot(
                    x + shift, summary.separation.non_matches, **dot, markerfacecolor="white"
                )
        for axes in drawing.axes:
            axes.set_xticks(range(len(present)), present)
            axes.set_xlim(-0.5, len(present) - 0.5)
            axes.grid(False, axis="x")
        recall.set_ylabel("Recall@1, %")
        recall.set_ylim(0, 104)
        similarity.set_ylabel("mean similarity")
        similarity.set_ylim(min(0.0, similarity.get_ylim()[0]), 1.02)
        title(recall, "right video first")
        title(similarity, "filled: copies; hollow: best non-matches")
        legend_above(drawing.figure, recall)


def vector_composition(
    fusions: Mapping[str, Sequence[VectorBlock]], path: Path, beside: Sequence[VectorBlock] = ()
) -> None:
    """Share of the vector's energy by block, a bar per fusion. Blocks stored beside the vector have no
    energy and are named below. The energies of a fusion sum up to 1."""
    check_any(fusions)
    for name, parts in fusions.items():
        total = math.fsum(part.energy for part in parts)
        if not math.isclose(total, 1, abs_tol=1e-3):
            raise ValueError(f"{name}: expected energies that sum up to 1, got {total:.4f}")
    blocks = list(
        dict.fromkeys((part.name, part.dimensions) for parts in fusions.values() for part in parts)
    )
    with panels(path, 6.4, 1.1 + 0.42 * len(fusions)) as drawing:
        axes = drawing.axes[0]
        for index, parts in enumerate(fusions.values()):
            left = 0.0
            for part in parts:
                width = 100 * part.energy
                block = blocks.index((part.name, part.dimensions))
                axes.barh(index, width, left=left, height=0.6, color=colour(block))
                _energy_label(axes, index, left, width)
                left += width
        for block, (name, dimensions) in enumerate(blocks):
            axes.barh(0, 0, color=colour(block), label=f"{name}, {dimensions} numbers")
        axes.set_yticks(range(len(fusions)), list(fusions))
        axes.set_ylim(len(fusions) - 0.5, -0.6)
        axes.set_xlim(0, 100)
        axes.grid(False, axis="y")
        note = ", ".join(f"{part.name}, {part.dimensions} numbers" for part in beside)
        axes.set_xlabel(
            "share of the vector's energy, %" + (f"; kept beside it: {note}" if note else "")
        )
        legend_above(drawing.figure, axes)


def _interval_bar(axes: Axes, y: int, value: Proportion) -> None:
    if not value.total:
        return
    low, high = value.interval
    percentage = 100 * value.value
    axes.barh(y, percentage, height=0.62, color=colour(0), alpha=0.85)
    axes.errorbar(
        percentage,
        y,
        xerr=[[percentage - 100 * low], [100 * high - percentage]],
        color="black",
        linewidth=1,
        capsize=2.5,
    )
    axes.text(103, y, f"{percentage:.1f}", fontsize=8, color=INK, va="center")


def _interval_dot(axes: Axes, x: float, value: Proportion, shade: str, name: str | None) -> None:
    if not value.total:
        return
    low, high = value.interval
    percentage = 100 * value.value
    axes.errorbar(
        x,
        percentage,
        yerr=[[percentage - 100 * low], [100 * high - percentage]],
        color=shade,
        marker="o",
        markersize=5,
        linewidth=1,
        capsize=2.5,
        linestyle="",
        label=name,
    )


def _energy_label(axes: Axes, y: int, left: float, width: float) -> None:
    """The share inside its block, or above the block if it is too narrow."""
    if width <= 0:
        return
    inside = width >= _LABELLED_INSIDE
    axes.text(
        min(max(left + width / 2, 1.5), 98.5),
        y if inside else y - 0.41,
        f"{width:.1f}",
        color="white" if inside else INK,
        fontsize=8,
        va="center",
        ha="center",
    )
