"""Pictures of agreements, to be printed: each field has a letter beside its colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.cli.figures import figures, refuse_other_name, save
from biometrics.disclosure import Level

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

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
_FOOTING_INCHES: Final = 3.0  # a column of lines below the picture
_LINE_INCHES: Final = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What is drawn.

    Attributes:
        members: rows and columns, in their order.
        told: the most by (holder, requester); pairs that are not there learn nothing.
        forbidden: pairs for which a clause forbids all that was asked.
        unknown: members of whom no agreement is given.
        about: what was asked, for the title.
        footing: lines below the picture: what it was drawn of.
    """

    members: Sequence[Member]
    told: Mapping[tuple[Member, Member], Level]
    forbidden: Collection[tuple[Member, Member]]
    unknown: Collection[Member]
    about: str
    footing: Sequence[str]


def draw_matrix(matrix: Matrix, path: Path) -> None:
    """Draw who learns how much from whom.

    Args:
        matrix: what is drawn.
        path: of the picture; it ends in `.png`.

    Raises:
        ConfigurationError: matplotlib is not installed, or the picture cannot be
            written.
    """
    refuse_other_name(path)
    figure_of = figures()
    from matplotlib.patches import Patch  # noqa: PLC0415 - of the extra

    inches = _FIELD_INCHES * max(len(matrix.members), _LEAST_FIELDS) + _MARGIN_INCHES
    columns = max(1, int(inches / _FOOTING_INCHES))
    rows = -(-len(matrix.footing) // columns)
    foot = _LINE_INCHES * rows
    figure = figure_of(
        figsize=(inches, inches + 0.6 + foot), dpi=200, layout="constrained"
    )
    field, below = figure.subplots(2, height_ratios=(inches, foot))
    _draw_fields(field, matrix)
    below.axis("off")
    for column in range(columns):
        below.text(
            column / columns,
            1,
            "\n".join(matrix.footing[column * rows : (column + 1) * rows]),
            fontsize=6,
            va="top",
            transform=below.transAxes,
        )
    figure.suptitle(f"Who learns how much: {matrix.about}", x=0.02, ha="left", size=10)
    figure.legend(
        handles=[
            *(
                Patch(facecolor=_COLOURS[level], edgecolor="#888888", label=text)
                for level, text in _LEGEND.items()
            ),
            *(
                Patch(facecolor="white", edgecolor="#888888", label=text)
                for text in ("    nothing", "x  forbidden", "?  no agreement given")
            ),
        ],
        loc="outside lower left",
        ncols=2,
        fontsize=8,
        frameon=False,
    )
    save(figure, path)


def _draw_fields(axes: Axes, matrix: Matrix) -> None:
    """Draw the field of every pair, and who they are."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - of the extra

    size = len(matrix.members)
    axes.set(
        xlim=(0, size),
        ylim=(size, 0),
        aspect="equal",
        xlabel="requester, who learns",
        ylabel="holder, who permits",
    )
    for row, holder in enumerate(matrix.members):
        axes.add_patch(Rectangle((row, row), 1, 1, facecolor="#dddddd", hatch="///"))
        for column, requester in enumerate(matrix.members):
            if column == row:
                continue
            level = matrix.told.get((holder, requester))
            if level is not None:
                colour = _COLOURS[level]
                axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour))
            axes.text(
                column + 0.5,
                row + 0.52,
                _letter(matrix, holder, requester),
                color=_INKS[level] if level else "#888888",
                fontsize=8,
                ha="center",
                va="center",
            )
    places = [place + 0.5 for place in range(size)]
    codes = [member.code for member in matrix.members]
    axes.set_xticks(places, codes, rotation=90, fontsize=8)
    axes.set_yticks(places, codes, fontsize=8)
    axes.tick_params(length=0, labeltop=True)
    axes.set_xticks(range(size + 1), minor=True)
    axes.set_yticks(range(size + 1), minor=True)
    axes.grid(which="minor", color="#bbbbbb", linewidth=0.5)
    axes.tick_params(which="minor", length=0)


def _letter(matrix: Matrix, holder: Member, requester: Member) -> str:
    """Return what stands in a pair's field."""
    level = matrix.told.get((holder, requester))
    if level is not None:
        return level[0].upper()
    if holder in matrix.unknown:
        return "?"
    return "x" if (holder, requester) in matrix.forbidden else ""
