"""What `benchmarks.growth` found, as tables and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.kit.tables import Column

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.kit.results import Results

COLUMNS: Final = (
    Column("records", "records", ",d"),
    Column("ms", "ms\na probe", ",.2f"),
    Column("grown", "gallery,\ntimes before", ",.2f"),
    Column("time_grown", "time,\ntimes before", ",.2f"),
    Column("time_grown_low", "95 %\nfrom", ",.2f"),
    Column("time_grown_high", "to", ",.2f"),
    Column("exponent", "exponent", ".2f"),
    Column("numpy_ms", "NumPy, ms\na probe", ",.2f"),
    Column("times_as_fast", "times\nas fast", ",.1f"),
    Column("times_as_fast_low", "95 %\nfrom", ",.1f"),
    Column("times_as_fast_high", "to", ",.1f"),
    Column("candidates", "candidates\na search", ",.1f"),
    Column("bytes_per_template", "bytes a\ntemplate", ",.0f"),
)
NOTE: Final = (
    "Times before: of the row above, both searched in turns. Exponent: log of the "
    "time's growth over log\nof the gallery's; 1 is linear. Times as fast: as NumPy's "
    "float32 product in the same run. Bytes: of\nmemory, of templates beyond those of "
    "the first row."
)


def show(kept: Results, threshold: float) -> None:
    """Print a table for each number of probes at once."""
    for batch in sorted({row["probes"] for row in kept.rows}):
        chosen = [row for row in kept.rows if row["probes"] == batch]
        kept.show(f"{_named(batch)}, threshold {threshold}", COLUMNS, chosen, NOTE)


def draw(kept: Results, threshold: float) -> None:
    """Draw time by size, one panel for each number of probes."""
    from benchmarks.kit import plots  # noqa: PLC0415 - needs matplotlib

    rows = kept.rows
    batches = sorted({row["probes"] for row in rows})
    drawn, panels = plots.figure(len(batches), width=10.0, height=4.4, sharey=True)
    for axes, batch in zip(panels, batches, strict=True):
        _panel(axes, [row for row in rows if row["probes"] == batch])
        axes.set_title(_named(batch))
    panels[0].set_ylabel("ms a probe")
    panels[0].legend()
    drawn.suptitle(
        "Time of a search by size of the gallery, 512-d, effective dimension 180, "
        f"threshold {threshold}",
        x=0.01,
        ha="left",
    )
    plots.save(drawn, kept)


def _panel(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Draw ours, NumPy's, and what would be linear from our last point."""
    from benchmarks.kit import plots  # noqa: PLC0415 - needs matplotlib

    for number, (field, name) in enumerate(
        (("ms", "ours"), ("numpy_ms", "NumPy product, float32"))
    ):
        points = [(row["records"], row[field]) for row in rows if field in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, **plots.series(number))
    first, last = rows[0], rows[-1]
    ends = np.array([first["records"], last["records"]])
    linear = last["ms"] * ends / last["records"]
    axes.plot(ends, linear, ":", color="#555555", linewidth=1, label="linear")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("records")


def _named(batch: int) -> str:
    """Return what titles call so many probes."""
    return "one probe" if batch == 1 else f"{batch} probes at once"
