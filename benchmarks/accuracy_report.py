"""What `benchmarks.accuracy` found, as a table and as a DET plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.kit.intervals import RULE_OF_THREE
from benchmarks.kit.tables import Column

if TYPE_CHECKING:
    from benchmarks.kit.results import Results

SHOWN: Final = (1e-2, 1e-3)  # operating points, as NIST reports them
COLUMNS: Final = (
    Column("records", "records", ",d"),
    Column("threshold", "threshold", ".3f"),
    Column("fpir", "FPIR, %", ".3f"),
    Column("fpir_interval", "95 %", "s"),
    Column("fpir_by_look_alikes", "by look-\nalikes", "s"),
    Column("fnir", "FNIR, %", ".2f"),
    Column("fnir_interval", "95 %, at this\nthreshold", "s"),
    Column("fte", "FTE, %", ".2f"),
    Column("fta", "FTA, %", ".2f"),
    Column("mated", "mated\nsearches", ",d"),
    Column("non_mated", "non-mated\nsearches", ",d"),
    Column("differing", "searches\ndecided\notherwise", ",d"),
    Column("pairs", "pairs\nreaching it", ",d"),
    Column("near", "within\n1e-6", ",d"),
    Column("candidates_a_search", "candidates\na search", ",.2f"),
    Column("missing", "remark"),
)
NOTE: Final = (
    "FNIR and FPIR: of searches with a capture on both sides; failures to enrol (FTE) "
    "and to acquire (FTA)\ncome on top. Intervals: Clopper and Pearson. Decided "
    "otherwise: by the engine's candidates and their\nconfirmation than exhaustively."
)
# Of the axis of FNIR: as a share.
TICKS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_SHARES: Final = ("fpir", "fnir", "fte", "fta")


def show(kept: Results, rows: list[dict[str, Any]]) -> None:
    """Print the operating points, and what all thresholds support."""
    points = [row for row in rows if row["fpir_set"] in SHOWN]
    points.sort(key=lambda row: (-row["fpir_set"], row["records"]))
    kept.show("identification by threshold", COLUMNS, map(_line, points), NOTE)
    measured = [row for row in rows if "missing" not in row]
    if not measured:
        return
    non_mated = min(row["non_mated"] for row in measured)
    searches = sum(row["searches"] for row in measured)
    differing = sum(row["differing"] for row in measured)
    pairs = max(row["pairs"] for row in measured)
    print(
        f"{non_mated:,} non-mated searches support an FPIR down to "
        f"{RULE_OF_THREE / non_mated:.1e}, by the rule of three.\n"
        f"{searches:,} decisions at {len(measured)} thresholds: {differing:,} differ."
    )
    if not differing:
        print(
            f"The lowest threshold has {pairs:,} pairs to be found: with none lost, "
            f"fewer than {RULE_OF_THREE / pairs:.1e} of pairs\nlike them are, at 95 %. "
            "That of pairs exactly at a threshold fewer are lost than the engine\n"
            "promises takes more of such pairs than a population has."
        )


def draw(kept: Results, rows: list[dict[str, Any]]) -> None:
    """Draw FNIR against FPIR, one line for each size of the gallery."""
    from benchmarks.kit import plots  # noqa: PLC0415 - needs matplotlib

    drawn, (axes,) = plots.figure(width=7.0, height=5.0)
    measured = [row for row in rows if "missing" not in row]
    for number, records in enumerate(sorted({row["records"] for row in measured})):
        group = [row for row in measured if row["records"] == records]
        rates = [row["fpir"] for row in group]
        look = plots.series(number)
        name = f"{records:,} people"
        axes.plot(rates, [row["fnir"] for row in group], label=name, **look)
        axes.fill_between(
            rates,
            [row["fnir_low"] for row in group],
            [row["fnir_high"] for row in group],
            color=look["color"],
            alpha=0.15,
            linewidth=0,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set_yticks(TICKS, [f"{100 * each:g} %" for each in TICKS])
    lowest = min(row["fnir_low"] for row in measured if row["fnir_low"])
    axes.set_ylim(0.9 * lowest, 1.1 * max(row["fnir_high"] for row in measured))
    axes.yaxis.set_minor_formatter("")
    axes.set_xlabel("FPIR, false positive identification rate")
    axes.set_ylabel("FNIR, false negative identification rate")
    axes.set_title("Error trade-off by size of the gallery; bands: 95 % of FNIR")
    axes.legend()
    plots.save(drawn, kept)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the table has it: rates in per cent."""
    if "missing" in row:
        return row
    shown = {name: 100 * row[name] for name in _SHARES}
    intervals = {
        f"{name}_interval": f"{100 * row[f'{name}_low']:.3f} to"
        f" {100 * row[f'{name}_high']:.3f}"
        for name in ("fpir", "fnir")
    }
    by_look_alikes = f"{row['fpir_by_look_alikes']} of {row['fpir_errors']}"
    shown |= {"fpir_by_look_alikes": by_look_alikes}
    return row | shown | intervals
