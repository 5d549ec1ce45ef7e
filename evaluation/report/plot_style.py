"""The common style of figures, without state shared between figures, in three file formats."""

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
"""M. Okabe and K. Ito, "Color universal design", 2008: distinguishable by colour-blind readers. Ordered
by contrast; without the yellow, which is unreadable on white."""

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1, 1.5)))
"""Line styles differ too, so that a grey print is readable."""

INK, GRID = "#222222", "#DDDDDD"

# Without dates and with fixed ids and fonts, the same rows give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
}
# Printers and journals need TrueType fonts in PDF.
_SAVING: dict[Any, Any] = {"svg.hashsalt": "storyhash", "pdf.fonttype": 42}
_DOTS_AN_INCH = 200
REPORT_SUFFIXES = (".png", ".pdf")
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
    """A context with axes to draw on; writes the figure to `path` if no error occurs.

    The suffix is the format: .png, .pdf or .svg. Without a suffix, a file is written for each of
    `REPORT_SUFFIXES`. Raises UsageError for another suffix, or if matplotlib is missing.
    """
    suffixes = (path.suffix,) if path.suffix else REPORT_SUFFIXES
    if not {*suffixes} <= _METADATA.keys():
        raise UsageError(
            f"{path}: expected a name that ends in {', '.join(_METADATA)}, got {path.suffix!r}"
        )
    try:
        # Not pyplot, which keeps all figures in memory.
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
    for panel in axes:
        _style(panel)
    yield Panels(figure, axes)
    for suffix in suffixes:
        with replacing(path.with_suffix(suffix)) as temporary, rc_context(_SAVING):
            figure.savefig(
                temporary, format=suffix[1:], dpi=_DOTS_AN_INCH, metadata=_METADATA[suffix]
            )
        # The axes are where they should be now: arranging them takes a third of the time.
        figure.set_layout_engine("none")


def colour(index: int) -> str:
    """The n-th colour of the palette; it repeats after the last."""
    return PALETTE[index % len(PALETTE)]


def dash(index: int) -> Any:
    """The n-th line style; it repeats after the last."""
    return DASHES[index % len(DASHES)]


def check_any(values: Sized) -> None:
    """Raises UsageError if there is nothing to draw."""
    if not len(values):
        raise UsageError("nothing to draw: the rows lack the data of this figure")


def title(axes: Axes, text: str) -> None:
    """The title of a panel."""
    axes.set_title(text, loc="left", fontsize=9, color=INK)


def legend(axes: Axes, corner: Corner, *, always: bool = False) -> None:
    """A legend if there is more than one label, or `always`, for labels with a number."""
    if always or len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(loc=corner, frameon=False, fontsize=8, handlelength=2.4)


def legend_above(figure: Figure, axes: Axes, *, always: bool = False) -> None:
    """One legend for all axes, above them; otherwise like `legend`."""
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
    """Two spines, a light grid behind the data, small fonts."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(labelsize=8, color=INK, labelcolor=INK)
    axes.xaxis.label.set(size=9, color=INK)
    axes.yaxis.label.set(size=9, color=INK)
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
