"""Figures of curves: ROC, precision and recall, and reliability.

Each function writes one file; its suffix, .png, .pdf or .svg, is the format. Each profile and
configuration is one line. Raises UsageError if matplotlib is missing or there is nothing to draw.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from evaluation.measures.calibration import answers, expected_calibration_error, reliability
from evaluation.measures.detection import Curve, micro_ap, pooled, precision_recall, roc
from evaluation.measures.grouping import by_label
from evaluation.measures.relevance import negatives
from evaluation.records import QueryRow
from evaluation.report.plot_style import INK, check_any, colour, dash, legend, legend_above, panels

RATES = (1e-3, 1e-2)


def roc_curves(rows: Iterable[QueryRow], path: Path) -> None:
    """Share of copies accepted against the share of non-matches accepted. The x axis is logarithmic,
    because only small rates are useful; lines mark the rates of the recall measures."""
    parts = {label: part for label, part in by_label(rows).items() if negatives(part)}
    check_any(parts)
    # Rates below one negative are drawn at the left edge.
    lowest = min(1e-3, *(1 / len(negatives(part)) for part in parts.values())) / 2
    with panels(path, 4.6, 3.6) as drawing:
        axes = drawing.axes[0]
        for rate in RATES:
            axes.axvline(100 * rate, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
        for index, (label, part) in enumerate(parts.items()):
            curve = roc(part)
            axes.step(
                100 * np.maximum(np.append(curve.x, 1.0), lowest),
                100 * np.append(curve.y, curve.y[-1]),
                where="post",
                color=colour(index),
                linestyle=dash(index),
                linewidth=1.6,
                label=label,
            )
        axes.set_xscale("log")
        axes.set_xlim(100 * lowest, 100)
        axes.set_ylim(0, 102)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("non-matches accepted, % of queries without a copy")
        axes.set_ylabel("copies accepted, %")
        legend(axes, "lower right")


def precision_recall_curves(rows: Iterable[QueryRow], path: Path) -> None:
    """Precision against recall over all pooled predictions; the legend has uAP, the area."""
    parts = {label: pooled(part) for label, part in by_label(rows).items()}
    parts = {label: part for label, part in parts.items() if part.positives}
    check_any(parts)
    with panels(path, 4.6, 3.6) as drawing:
        axes = drawing.axes[0]
        for index, (label, predictions) in enumerate(parts.items()):
            curve = _from_the_left(precision_recall(predictions))
            axes.plot(
                100 * curve.x,
                100 * curve.y,
                color=colour(index),
                linestyle=dash(index),
                linewidth=1.6,
                label=f"{label} (uAP {micro_ap(predictions):.3f})",
            )
        axes.set_xlim(0, 102)
        axes.set_ylim(0, 102)
        axes.set_xlabel("recall, %")
        axes.set_ylabel("precision, %")
        legend(axes, "lower left", always=True)


def reliability_diagram(rows: Iterable[QueryRow], path: Path) -> None:
    """Share of right answers by probability, with Wilson's interval, and the number of answers.

    Calibrated probabilities lie on the diagonal. The legend has the ECE.
    """
    parts = {label: answers(part) for label, part in by_label(rows).items()}
    parts = {label: part for label, part in parts.items() if len(part[0])}
    check_any(parts)
    with panels(path, 4.6, 4.6, rows=2, height_ratios=(3, 1), share_x=True) as drawing:
        diagram, counts = drawing.axes
        diagram.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
        for index, (label, (probabilities, right)) in enumerate(parts.items()):
            bins = reliability(probabilities, right)
            middles = [bin_.mean_probability for bin_ in bins]
            shares = np.array([bin_.right.value for bin_ in bins])
            arms = np.abs(np.array([bin_.right.interval for bin_ in bins]).T - shares)
            diagram.errorbar(
                middles,
                shares,
                yerr=arms,
                color=colour(index),
                linestyle=dash(index),
                marker="o",
                markersize=4,
                linewidth=1.2,
                elinewidth=0.9,
                capsize=2,
                label=f"{label} (ECE {expected_calibration_error(bins):.3f})",
            )
            width = 0.08 / len(parts)
            counts.bar(
                [
                    (bin_.low + bin_.high) / 2 + width * (index - (len(parts) - 1) / 2)
                    for bin_ in bins
                ],
                [bin_.right.total for bin_ in bins],
                width=width,
                color=colour(index),
            )
        diagram.set_xlim(0, 1)
        diagram.set_ylim(0, 1.02)
        diagram.set_ylabel("share that is right")
        counts.set_yscale("log")
        # So that a single answer has a visible bar.
        counts.set_ylim(bottom=0.5)
        counts.set_ylabel("answers")
        counts.set_xlabel("probability of being a copy")
        legend_above(drawing.figure, diagram, always=True)


def _from_the_left(curve: Curve) -> Curve:
    """The curve, extended to recall 0 with the precision of its first threshold."""
    first = curve.y[:1] if len(curve.y) else np.array([1.0])
    return Curve(np.concatenate([[0.0], curve.x]), np.concatenate([first, curve.y]))
