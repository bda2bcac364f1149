"""What `benchmarks.growth` found, as tables and as a picture."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.kit.tables import Column

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.kit.results import Results

_MILLION: Final = 1_000_000
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
    drawn, panels = plots.figure(len(batches), width=10.0, height=4.8, sharey=True)
    for axes, batch in zip(panels, batches, strict=True):
        _panel(axes, [row for row in rows if row["probes"] == batch])
        axes.set_title(_named(batch))
    panels[0].set_ylabel("ms a probe")
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=4)
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

    sizes = [row["records"] for row in rows]
    ours = chained(rows)
    axes.plot(
        sizes, ours, label="ours, back from the last by ratios", **plots.series(0)
    )
    axes.plot(
        sizes,
        [row["ms"] for row in rows],
        label="ours, each in its own minutes",
        **plots.rings(0),
    )
    beside = [
        (row, ms) for row, ms in zip(rows, ours, strict=True) if "numpy_ms" in row
    ]
    held = [row["records"] for row, _ in beside]
    low, middle, high = (
        [ms * row[name] for row, ms in beside]
        for name in ("times_as_fast_low", "times_as_fast", "times_as_fast_high")
    )
    look = plots.series(1)
    axes.plot(held, middle, label="NumPy by its ratio to ours; 95 %", **look)
    axes.fill_between(held, low, high, color=look["color"], alpha=0.2, linewidth=0)
    ends = np.array([sizes[0], sizes[-1]])
    linear = ours[-1] * ends / sizes[-1]
    axes.plot(ends, linear, ":", color="#555555", linewidth=1, label="linear")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xticks(sizes, [_short(each) for each in sizes])
    axes.tick_params(axis="x", labelsize=8)
    axes.minorticks_off()
    axes.set_xlabel("records")


def chained(rows: list[dict[str, Any]]) -> list[float]:
    """Return times by size, from the last one back by how each grew.

    Each ratio is of the same minutes, as times of two sizes are not: a machine that
    gave more in one half of a run bends the line of times, but not this one. Where a
    row has no ratio to the one before, the time that was measured is taken.
    """
    times = [rows[-1]["ms"]]
    for before, row in reversed(list(pairwise(rows))):
        is_known = "time_grown" in row
        times.append(times[-1] / row["time_grown"] if is_known else before["ms"])
    return times[::-1]


def _short(records: int) -> str:
    """Return a number of records as the axis has room for it."""
    if records >= _MILLION:
        return f"{records / _MILLION:.3g}M"
    return f"{records / 1000:.3g}k" if records >= 1000 else str(records)  # noqa: PLR2004


def _named(batch: int) -> str:
    """Return what titles call so many probes."""
    return "one probe" if batch == 1 else f"{batch} probes at once"
