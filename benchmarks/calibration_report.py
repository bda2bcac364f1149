"""What `benchmarks.calibration` found, as a table and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.kit.tables import Column

if TYPE_CHECKING:
    from benchmarks.kit.results import Results

COLUMNS: Final = (
    Column("population", "population"),
    Column("fpir", "promised\nFPIR"),
    Column("people", "people who\ncalibrate", ",d"),
    Column("calibrated", "templates\nthen", ",d"),
    Column("records", "templates\nnow", ",d"),
    Column("growth", "grown,\ntimes", "g"),
    Column("of_promised", "realised FPIR,\nof the promised", ".2f"),
    Column("of_promised_most", "most", ".2f"),
    Column("broken", "promises\nbroken", ".0%"),
    Column("broken_low", "95 %\nfrom", ".0%"),
    Column("broken_high", "to", ".0%"),
    Column("broken_for_certain", "for\ncertain", ".0%"),
    Column("threshold", "threshold", ".3f"),
    Column("right", "right\none", ".3f"),
    Column("fnir", "FNIR", ".2%"),
    Column("fnir_right", "at the\nright one", ".2%"),
)
NOTE: Final = (
    "A calibration is established up to twice the templates that it searched: rows"
    " grown more say why.\nThe right threshold is that at which all searches err as"
    " often as promised."
)


def show(kept: Results) -> None:
    """Print every row."""
    ordered = sorted(
        kept.rows,
        key=lambda row: (row["population"], -float(row["fpir"]), row["people"]),
    )
    kept.show("promises kept and broken", COLUMNS, ordered, NOTE)


def draw(kept: Results) -> None:
    """Draw how often promises are broken, by growth, a panel for each population."""
    from benchmarks.kit import plots  # noqa: PLC0415 - needs matplotlib

    rows = kept.rows
    names = list(dict.fromkeys(row["population"] for row in rows))
    drawn, panels = plots.figure(len(names), width=10.0, height=4.4, sharey=True)
    lines = sorted(
        {(row["fpir"], row["people"]) for row in rows},
        key=lambda line: (-float(line[0]), line[1]),
    )
    for axes, name in zip(panels, names, strict=True):
        for number, (fpir, people) in enumerate(lines):
            chosen = [
                row
                for row in rows
                if (row["population"], row["fpir"], row["people"])
                == (name, fpir, people)
            ]
            grown = sorted({row["growth"] for row in chosen})
            shares = [_mean(chosen, each) for each in grown]
            label = f"{fpir}, {people:,} people"
            axes.plot(grown, shares, label=label, **plots.series(number))
        axes.axvspan(2.05, 8.6, color="#eeeeee", zorder=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        axes.set_xlim(0.93, 8.6)
        axes.set_title(name)
        axes.set_xlabel("templates now, times those then")
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    panels[0].set_ylabel("promises broken")
    panels[-1].legend(fontsize=8)
    panels[0].text(2.2, 0.97, "not established", transform=_across(panels[0]), va="top")
    drawn.suptitle(
        "Calibrations whose promised FPIR others exceed, by growth of the gallery",
        x=0.01,
        ha="left",
    )
    plots.save(drawn, kept)


def _across(axes: Any) -> Any:
    """Return coordinates: data along x, shares of the panel along y."""
    return axes.get_xaxis_transform()


def _mean(rows: list[dict[str, Any]], growth: float) -> float:
    """Return which share of promises is broken at some growth, over all galleries."""
    found = [row["broken"] for row in rows if row["growth"] == growth]
    return sum(found) / len(found)
