"""Pictures of a calibration, to be printed: lines differ without their colours too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from biometrics.calibration import FpirClass
from biometrics.cli.figures import figures, save
from biometrics.files import cannot_write
from enrolment.calibrate.searches import BINS, NO_SCORE

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from enrolment.calibrate.measure import Measured

# Of Okabe and Ito, "Color Universal Design" (2008), dark ones first.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
_LINES: Final = ("-", "--", "-.", ":", (0, (1, 1)))
_MARKERS: Final = ("o", "s", "^", "D", "v")
_INCHES: Final = (7.2, 4.6)
_TICKS: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_STEPS: Final = 400


def draw(measured: Measured, folder: Path) -> list[Path]:
    """Draw densities, error rates by threshold, and their trade-off.

    Args:
        measured: the calibration.
        folder: where; made if it is not there. What is in it is replaced.

    Returns:
        The pictures, as PNG.

    Raises:
        ConfigurationError: matplotlib is not installed, or a picture cannot be
            written.
    """
    figure_of = figures()
    name = measured.calibration.space
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for what, paint in _PICTURES.items():
            figure = figure_of(figsize=_INCHES, dpi=200, layout="constrained")
            paint(figure, measured)
            path = folder / f"{name}-{what}.png"
            save(figure, path)
            paths.append(path)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return paths


def _densities(figure: Figure, measured: Measured) -> None:
    """Draw how scores are distributed, and where the thresholds lie among them."""
    axes = _axes(figure, "Scores", "cosine", "share of the scores in a step of 0.01")
    found = measured.searches
    steps = BINS[::2]
    paired = found.pairs.reshape(-1, 2).sum(axis=1)
    drawn = {
        "pairs of two people": paired,
        "searches of somebody not enrolled: greatest score": np.histogram(
            found.maxima[-1], steps
        )[0],
        "one person's captures: greatest score": np.histogram(
            found.mated[found.is_mated], steps
        )[0],
    }
    for number, (label, counts) in enumerate(drawn.items()):
        if counts.sum():
            shares = counts / counts.sum()
            middle = (steps[:-1] + steps[1:]) / 2
            axes.plot(middle, shares, label=label, **_look(number, marked=False))
    _mark_thresholds(axes, measured)
    axes.set_xlim(-0.5, 1.0)
    axes.legend(fontsize=8, frameon=False)


def _by_threshold(figure: Figure, measured: Measured) -> None:
    """Draw FPIR by size of the gallery, and FNIR, against the threshold."""
    axes = _axes(figure, "Error rates by threshold", "threshold, a cosine", "rate")
    found = measured.searches
    scores = np.linspace(_lowest(found.maxima), 0.99, _STEPS)
    for number, (size, maxima) in enumerate(
        zip(found.sizes, found.maxima, strict=True)
    ):
        if size:
            label = f"FPIR, {size:,} templates"
            look = _look(number) | {"label": label}
            _rates(axes, scores, _reaching(maxima, scores), **look)
    mated = found.mated[found.is_mated]
    if len(mated):
        missed = 1 - _reaching(mated, scores)
        _rates(axes, scores, missed, label="FNIR", **_look(len(found.sizes)))
    _mark_thresholds(axes, measured)
    _rate_axis(axes, "y", len(found.probes))
    axes.legend(fontsize=8, frameon=False)


def _trade_off(figure: Figure, measured: Measured) -> None:
    """Draw FNIR against FPIR (detection error trade-off), by size of the gallery."""
    axes = _axes(figure, "Error trade-off (DET)", "FPIR", "FNIR")
    found = measured.searches
    mated = found.mated[found.mated > NO_SCORE]
    if not len(mated):
        axes.text(0.5, 0.5, "nobody has a second capture: no FNIR", ha="center")
        axes.set_axis_off()
        return
    scores = np.linspace(_lowest(found.maxima), 0.99, _STEPS)
    missed = 1 - _reaching(mated, scores)
    for number, (size, maxima) in enumerate(
        zip(found.sizes, found.maxima, strict=True)
    ):
        if size:
            reached = _reaching(maxima, scores)
            seen = (reached > 0) & (missed > 0)
            axes.plot(
                reached[seen],
                missed[seen],
                label=f"{size:,} templates",
                **_look(number),
            )
    for fpir in FpirClass:
        threshold = measured.threshold(fpir)
        axes.plot(
            [fpir.rate],
            [(mated < threshold).mean()],
            marker="*",
            color="black",
            markersize=11,
            linestyle="",
        )
        axes.annotate(
            f" threshold of {fpir}",
            (fpir.rate, (mated < threshold).mean()),
            fontsize=8,
            va="bottom",
        )
    _rate_axis(axes, "x", len(found.probes))
    _rate_axis(axes, "y", len(mated))
    axes.legend(fontsize=8, frameon=False)


_PICTURES: Final = {
    "densities": _densities,
    "rates": _by_threshold,
    "trade-off": _trade_off,
}


def _axes(figure: Figure, title: str, x: str, y: str) -> Axes:
    """Return axes in the one style."""
    axes = figure.add_subplot(xlabel=x, ylabel=y)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _look(number: int, *, marked: bool = True) -> dict[str, Any]:
    """Return colour, line and marker of a series."""
    look = {
        "color": _COLOURS[number % len(_COLOURS)],
        "linestyle": _LINES[number % len(_LINES)],
        "linewidth": 1.6,
    }
    if marked:
        look |= {
            "marker": _MARKERS[number % len(_MARKERS)],
            "markersize": 4,
            "markevery": 40,
        }
    return look


def _lowest(maxima: NDArray[np.float64]) -> float:
    """Return the score where lines begin."""
    return float(max(np.quantile(maxima[0], 0.01), 0.0))


def _reaching(
    values: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return which share of values reaches each score."""
    below = np.searchsorted(np.sort(values), scores, side="left")
    shares: NDArray[np.float64] = 1 - below / len(values)
    return shares


def _rates(
    axes: Axes,
    scores: NDArray[np.float64],
    rates: NDArray[np.float64],
    **look: Any,  # noqa: ANN401 - matplotlib's
) -> None:
    """Draw rates where there are any: nothing is drawn for none in so many."""
    seen = rates > 0
    axes.plot(scores[seen], rates[seen], **look)


def _mark_thresholds(axes: Axes, measured: Measured) -> None:
    """Draw a line where each class has its threshold."""
    for fpir in FpirClass:
        threshold = measured.threshold(fpir)
        axes.axvline(threshold, color="#555555", linewidth=0.9, linestyle=(0, (4, 3)))
        axes.annotate(
            f"threshold of {fpir}",
            (threshold, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(2, -4),
            textcoords="offset points",
            rotation=90,
            va="top",
            fontsize=7,
            color="#333333",
        )


def _rate_axis(axes: Axes, which: str, trials: int) -> None:
    """Make an axis one of rates, down to one error in so many trials."""
    lowest = 0.8 / trials
    shown = [tick for tick in _TICKS if tick >= lowest]
    words = [f"{100 * tick:g} %" for tick in shown]
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(lowest, 1.2)
        axes.set_xticks(shown, words)
    else:
        axes.set_yscale("log")
        axes.set_ylim(lowest, 1.2)
        axes.set_yticks(shown, words)
