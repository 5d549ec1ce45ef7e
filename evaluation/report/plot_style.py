"""The paper that figures are drawn on: one look, no state shared between figures, three file formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from common.atomic_write import replacing
from common.errors import UsageError
from common.extras import install_command

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D")
"""M. Okabe and K. Ito, "Color universal design", 2008: told apart by colour-blind eyes. Order by
contrast; the yellow, unreadable on white, is left out."""

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1, 1.5)))
"""Lines differ in dash as well, so that they can be told apart in grey."""

INK, GRID = "#222222", "#DDDDDD"

# Without dates, and with ids and fonts that do not depend on the run, the same rows give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
}
# TrueType in PDF, which printers and journals want.
_SAVING: dict[Any, Any] = {"svg.hashsalt": "storyhash", "pdf.fonttype": 42}
_DOTS_AN_INCH = 200
_LEGEND_COLUMNS = 3

Corner: TypeAlias = Literal["lower left", "lower right"]


@dataclass(frozen=True, slots=True)
class Panels:
    """A figure and its axes in reading order."""

    figure: Figure
    axes: tuple[Axes, ...]


@contextmanager
def panels(
    path: Path,
    width_inches: float,
    height_inches: float,
    columns: int = 1,
    rows: int = 1,
    height_ratios: Sequence[float] | None = None,
    share_x: bool = False,
) -> Iterator[Panels]:
    """Axes to draw on; written to `path` when all went well.

    The suffix names the format: .png, .pdf or .svg. UsageError for another, or where matplotlib is
    missing.
    """
    if path.suffix not in _METADATA:
        raise UsageError(
            f"{path}: expected a name that ends in {', '.join(_METADATA)}, got {path.suffix!r}"
        )
    try:
        # Not pyplot, which keeps every figure in a list of its own.
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        command = install_command("evaluation")
        raise UsageError(f"figures need matplotlib: {command}") from error
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    axes = tuple(
        figure.subplots(
            rows, columns, squeeze=False, sharex=share_x, height_ratios=height_ratios
        ).ravel()
    )
    for one in axes:
        _style(one)
    yield Panels(figure, axes)
    with replacing(path) as temporary, rc_context(_SAVING):
        figure.savefig(
            temporary,
            format=path.suffix[1:],
            dpi=_DOTS_AN_INCH,
            metadata=_METADATA[path.suffix],
        )


def colour(place: int) -> str:
    """The palette's colour for the n-th of several things; it begins anew after the last."""
    return PALETTE[place % len(PALETTE)]


def dash(place: int) -> Any:
    """The line style for the n-th of several lines."""
    return DASHES[place % len(DASHES)]


def check_any(things: Sized) -> None:
    """UsageError where there is nothing to draw."""
    if not len(things):
        raise UsageError("nothing to draw: the rows hold nothing that this figure shows")


def title(axes: Axes, text: str) -> None:
    """What sets this panel apart from its neighbours."""
    axes.set_title(text, loc="left", fontsize=9, color=INK)


def legend(axes: Axes, where: Corner, *, always: bool = False) -> None:
    """A legend where more than one thing needs a name, or always where it carries a number."""
    if always or len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(loc=where, frameon=False, fontsize=8, handlelength=2.4)


def legend_above(figure: Figure, axes: Axes, *, always: bool = False) -> None:
    """One legend for all axes, outside of them."""
    handles, labels = axes.get_legend_handles_labels()
    if always or len(labels) > 1:
        figure.legend(
            handles,
            labels,
            loc="outside upper center",
            ncols=min(_LEGEND_COLUMNS, len(labels)),
            frameon=False,
            fontsize=8,
        )


def _style(axes: Axes) -> None:
    """Two spines, a pale grid behind the data, small type."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(labelsize=8, color=INK, labelcolor=INK)
    axes.xaxis.label.set(size=9, color=INK)
    axes.yaxis.label.set(size=9, color=INK)
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
