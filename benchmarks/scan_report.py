"""What `benchmarks.scan` found, as tables and as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.kit.tables import Column

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes

    from benchmarks.kit.results import Results

COLUMNS: Final = (
    Column("contender", "contender"),
    Column("ms_1", "ms,\n1 probe", ",.2f"),
    Column("times_1", "times\nas fast", ",.2f"),
    Column("ms_32", "ms each,\n32 probes", ",.2f"),
    Column("times_32", "times\nas fast", ",.2f"),
    Column("bytes_per_template", "bytes a\ntemplate", ",.0f"),
    Column("at", "mates at\nthreshold", "s"),
    Column("above", "mates\nabove", "s"),
    Column("all", "all\npairs", "s"),
    Column("confirmed_a_search", "confirmed\na search", ",.1f"),
    Column("build_seconds", "seconds\nto build", ",.1f"),
    Column("remark", "remark"),
)
NOTE: Final = (
    "times as fast: as the fastest exhaustive float32 of this table, as many probes. "
    "Bytes are of the index beside the vectors that decide."
)
KINDS: Final = ("ours", "exhaustive float32", "codes", "graph", "database")
DRAWN: Final = ("effective 180", "FPIR 0.001")


def show(kept: Results) -> None:
    """Print a table for each gallery and threshold, in the order of the run."""
    tables: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in kept.rows:
        place = tuple(row[name] for name in ("gallery", "records", "at", "threshold"))
        tables.setdefault(place, []).append(row)
    for (gallery, records, at, threshold), group in tables.items():
        shown = f"threshold {threshold:.3f}"
        reached = f" ({at})" if at.startswith("FPIR") else ""
        title = f"{gallery}, {records:,} templates, {shown}{reached}"
        kept.show(title, COLUMNS, _lines(group), NOTE)


def draw(kept: Results, records: int, part: str = "") -> None:
    """Draw how long a probe takes each, and which lose mates, as points.

    Args:
        kept: the whole run; rows of `DRAWN` are drawn.
        records: of the gallery.
        part: added to the picture's name.
    """
    from benchmarks.kit import plots  # noqa: PLC0415 - needs matplotlib

    chosen = [
        row
        for row in kept.rows
        if (row["gallery"], row["at"]) == DRAWN
        and row["records"] == records
        and "missing" not in row
    ]
    if not chosen:
        return
    single = {row["contender"]: row["ms"] for row in chosen if row["probes"] == 1}
    order = sorted(single, key=single.__getitem__, reverse=True)
    height = 1.4 + 0.32 * len(order)
    drawn, panels = plots.figure(2, width=11.0, height=height, sharex=True, sharey=True)
    for axes, probes in zip(panels, (1, 32), strict=True):
        by_name = {r["contender"]: r for r in chosen if r["probes"] == probes}
        _points(axes, [by_name[each] for each in order])
        axes.set_title("one probe" if probes == 1 else f"{probes} probes at once")
    threshold = chosen[0]["threshold"]
    drawn.suptitle(
        f"Milliseconds a probe, {records:,} templates, effective dimension 180, "
        f"threshold {threshold:.3f} (FPIR 1e-3)",
        x=0.01,
        ha="left",
    )
    kinds = [kind for kind in KINDS if kind in {row["kind"] for row in chosen}]
    handles = [panels[0].plot([], [], **_look(kind), label=kind)[0] for kind in kinds]
    drawn.legend(handles=handles, loc="outside lower center", ncols=len(kinds))
    plots.save(drawn, kept, part)


def _points(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Draw one point a contender, its time and its losses beside it."""
    for place, row in enumerate(rows):
        axes.plot(row["ms"], place, **_look(row["kind"]))
        missed = row["mates_at"] - row["mates_at_found"]
        loss = f", loses {missed} of {row['mates_at']}" if missed else ""
        axes.annotate(
            f"{row['ms']:,.2f}{loss}",
            (row["ms"], place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(rows)), [row["contender"] for row in rows])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_formatter("")
    axes.margins(x=0.3, y=0.06)
    axes.set_xlabel("ms a probe")


def _look(kind: str) -> dict[str, Any]:
    """Return colour and marker of a kind; ours is the first."""
    from benchmarks.kit import plots  # noqa: PLC0415 - needs matplotlib

    number = KINDS.index(kind)
    look = {"color": plots.COLOURS[number], "marker": plots.MARKERS[number]}
    return look | {"linestyle": "", "markersize": 8}


def _lines(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one line a contender, of its rows for one probe and for many."""
    lines: dict[str, dict[str, Any]] = {}
    for row in rows:
        line = lines.setdefault(row["contender"], {"contender": row["contender"]})
        if "missing" in row:
            line["remark"] = row["missing"]
            continue
        line[f"ms_{row['probes']}"] = row["ms"]
        line[f"times_{row['probes']}"] = row["times_as_fast"]
        line |= {
            "bytes_per_template": row["bytes_per_template"],
            "at": f"{row['mates_at_found']} of {row['mates_at']}",
            "above": f"{row['mates_above_found']} of {row['mates_above']}",
            "all": f"{row['pairs_found']} of {row['pairs']}",
            "confirmed_a_search": row["confirmed_a_search"],
            "build_seconds": row["build_seconds"],
            "remark": _remark(row),
        }
        lines[row["contender"]] = line
    return list(lines.values())


def _remark(row: dict[str, Any]) -> str:
    """Say what a row loses."""
    is_lossy = (
        row["mates_at_found"] < row["mates_at"]
        or row["mates_above_found"] < row["mates_above"]
    )
    if is_lossy:
        return "loses mates"
    return "loses others" if row["pairs_found"] < row["pairs"] else ""
