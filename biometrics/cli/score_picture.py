"""A picture of mated and non-mated scores; needs the extra `pictures`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics.cli.figures import figures, refuse_other_name, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from enrolment.scores import Scores

_MATED: Final = "#0072B2"
_NON_MATED: Final = "#D55E00"
_BINS: Final = np.linspace(-1, 1, 101).tolist()


def draw_scores(path: Path, panels: Mapping[str, Scores]) -> None:
    """Draw the distributions, a panel for each set, on one scale.

    Args:
        path: of the picture; it ends in `.png`.
        panels: scores by what they are of.

    Raises:
        ConfigurationError: matplotlib is not installed, or the picture cannot be
            written.
    """
    refuse_other_name(path)
    size = (7, 2.7 * len(panels) + 0.6)
    figure = figures()(figsize=size, dpi=150, layout="constrained")
    for number, (name, scores) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(len(panels), 1, number, xlim=(-0.8, 1))
        for values, told, colour, line in (
            (scores.non_mated, "non-mated", _NON_MATED, "--"),
            (scores.mated, "mated", _MATED, "-"),
        ):
            label = f"{told}: {values.mean():.3f} ± {values.std():.3f}"
            axes.hist(
                values, _BINS, density=True, color=colour, alpha=0.25, label=label
            )
            axes.hist(
                values, _BINS, density=True, histtype="step", color=colour, ls=line
            )
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_ylabel("density")
        axes.legend(frameon=False, fontsize=9)
    figure.supxlabel("cosine after centring", fontsize=10)
    save(figure, path)
