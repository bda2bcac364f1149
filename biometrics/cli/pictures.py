"""Pictures of agreements, to be printed: each field has a letter beside its colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.cli.figures import figures, refuse_other_name, save
from biometrics.disclosure import Level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from biometrics.members import Member

# Light to dark in one hue, so that they differ without colour too.
_COLOURS: Final = {
    Level.PRESENCE: "#cfe3f3",
    Level.HOLDER: "#5ea3d0",
    Level.REFERENCE: "#08457e",
}
_INKS: Final = {
    Level.PRESENCE: "black",
    Level.HOLDER: "black",
    Level.REFERENCE: "white",
}
_LEGEND: Final = {
    Level.PRESENCE: f"P  presence: {limits.MIN_PRESENCE_HOLDERS} holders as one",
    Level.HOLDER: "H  holder: match or no match",
    Level.REFERENCE: "R  reference: to follow up",
}
_FIELD_INCHES: Final = 0.26
_MARGIN_INCHES: Final = 2.2
_LEAST_FIELDS: Final = 16  # or the legend would not fit


def draw_matrix(
    told: Mapping[tuple[Member, Member], Level],
    members: Sequence[Member],
    about: str,
    path: Path,
) -> None:
    """Draw who learns how much from whom.

    Args:
        told: the most by (holder, requester); pairs that are not there learn nothing.
        members: rows and columns, in their order.
        about: what was asked, for the title.
        path: of the picture; it ends in `.png`.

    Raises:
        ConfigurationError: matplotlib is not installed, or the picture cannot be
            written.
    """
    refuse_other_name(path)
    figure_of = figures()
    from matplotlib.patches import Patch, Rectangle  # noqa: PLC0415 - of the extra

    size = len(members)
    inches = _FIELD_INCHES * max(size, _LEAST_FIELDS) + _MARGIN_INCHES
    figure = figure_of(figsize=(inches, inches + 0.6), dpi=200, layout="constrained")
    axes = figure.add_subplot(
        xlim=(0, size), ylim=(size, 0), aspect="equal", xlabel="requester, who learns"
    )
    axes.set_ylabel("holder, who permits")
    for row, holder in enumerate(members):
        axes.add_patch(Rectangle((row, row), 1, 1, facecolor="#dddddd", hatch="///"))
        for column, requester in enumerate(members):
            level = told.get((holder, requester))
            if level is not None:
                axes.add_patch(
                    Rectangle((column, row), 1, 1, facecolor=_COLOURS[level])
                )
                axes.text(
                    column + 0.5,
                    row + 0.52,
                    level[0].upper(),
                    color=_INKS[level],
                    fontsize=8,
                    ha="center",
                    va="center",
                )
    places = [place + 0.5 for place in range(size)]
    codes = [member.code for member in members]
    axes.set_xticks(places, codes, rotation=90, fontsize=8)
    axes.set_yticks(places, codes, fontsize=8)
    axes.tick_params(length=0, labeltop=True)
    axes.set_xticks(range(size + 1), minor=True)
    axes.set_yticks(range(size + 1), minor=True)
    axes.grid(which="minor", color="#bbbbbb", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    figure.suptitle(f"Who learns how much: {about}", x=0.02, ha="left", fontsize=10)
    figure.legend(
        handles=[
            *(
                Patch(facecolor=_COLOURS[level], edgecolor="#888888", label=text)
                for level, text in _LEGEND.items()
            ),
            Patch(facecolor="white", edgecolor="#888888", label="nothing"),
        ],
        loc="outside lower left",
        ncols=2,
        fontsize=8,
        frameon=False,
    )
    save(figure, path)
