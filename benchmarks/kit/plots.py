"""Figures drawn, in one style: readable in print, and without telling colours apart.

Colours are those of Okabe and Ito, "Color Universal Design" (2008); beside them every
series has its own marker and line, and every kind of bar its own hatch. What is ours is
blue and without a hatch in every picture. Pictures are PNG, saved where
`benchmarks.kit.results` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt

from benchmarks.kit import results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.kit.results import Results

__all__ = ["COLOURS", "HATCHES", "figure", "rings", "save", "series"]

COLOURS: Final = (
    "#0072B2",  # blue: ours
    "#D55E00",  # vermilion
    "#009E73",  # bluish green
    "#CC79A7",  # reddish purple
    "#E69F00",  # orange
    "#56B4E9",  # sky blue
    "#000000",  # black
    "#F0E442",  # yellow: last, as it is faint on paper
)
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES: Final = (
    *("-", "--", "-.", ":"),
    *((0, (8, 3)), (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (3, 1, 1, 1))),
)
HATCHES: Final = ("", "///", "...", "xx", "\\\\\\", "++", "oo", "--")
_STYLE: Final = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "benchmarks",
}


def figure(
    panels: int = 1, *, width: float = 8.0, height: float = 4.5, **settings: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels side by side.

    Args:
        panels: how many.
        width: of the figure, in inches.
        height: in inches.
        settings: for `matplotlib.pyplot.subplots`.
    """
    plt.rcParams.update(_STYLE)
    drawn, axes = plt.subplots(
        1,
        panels,
        figsize=(width, height),
        squeeze=False,
        layout="constrained",
        **settings,
    )
    return drawn, list(axes[0])


def series(number: int) -> dict[str, Any]:
    """Return colour, marker and line of the series with that number, for `plot`."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[number % len(LINES)],
    }


def rings(number: int) -> dict[str, Any]:
    """Return the look of points about those of a series, for `plot`."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": "o",
        "linestyle": "",
        "markerfacecolor": "none",
        "markersize": 11,
    }


def save(drawn: Figure, kept: Results, part: str = "") -> None:
    """Save a figure of a run as PNG, without date or version in it.

    Args:
        drawn: the figure.
        kept: the run, which says where its pictures go.
        part: added to the picture's name, where a run has several.
    """
    if kept.is_quick:
        drawn.text(0.99, 0.99, results.QUICK, ha="right", va="top", fontsize=8)
    drawn.savefig(kept.picture(part), metadata={"Software": None})
    plt.close(drawn)
