"""Prints what the demo found: a table for people, or one document for programs."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from biometrics.demo.outcome import Outcome
    from biometrics.demo.tally import Asked, Pair, Rate

_QUANTILES = (50, 95, 99)
_FILE_WIDTH = 100  # of what is not for a terminal, unless COLUMNS says otherwise
# Widths of the columns, which together fit into a terminal of 80.
_WORDS = {"holder": 9, "allowed": 9}
_NUMBERS = {
    "matches": 9,
    "kept back": 6,
    "wrong": 5,
    "false positives": 18,
    "false negatives": 18,
}
_LEGEND = {
    "matches": "of how many searches. `unnamed` holders, who allow only presence, count"
    " together: how often the region had a match",
    "kept back": "searches in which only records of people protected from this"
    " requester reached the threshold; it was told no-match. Empty: none",
    "wrong": "answers that differ from the exhaustive comparison or from the"
    " agreements",
    "false positives, false negatives": "percent, with 95 % interval (Wilson), of the"
    " searches without and with a mate that the requester may learn of. `no search`:"
    " there was none of that sort",
}


def show(outcome: Outcome) -> None:
    """Print the tables and what follows from them."""
    console = _console()
    for number, asked in enumerate(outcome.asked):
        console.print()
        console.print(f"[bold]{asked.requester}[/bold] asks for {asked.purpose}")
        console.print(_answers(asked, show_header=number == 0))
    console.print()
    console.print(_latencies(outcome))
    console.print()
    console.print(_notes(_LEGEND | _facts(outcome)))
    console.print()
    style = "bold red" if outcome.wrong else "bold green"
    console.print(f"Wrong answers: {outcome.wrong}", style=style)


def _console() -> Console:
    """Return where the tables go."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(width=None if known else _FILE_WIDTH, highlight=False)


def _facts(outcome: Outcome) -> dict[str, str]:
    """Return what is to be said of the pilot as a whole."""
    rows = outcome.rows
    rate = outcome.records / outcome.enrol_seconds
    refused, of = outcome.refusals
    return {
        "enrolled": f"records: {outcome.records:,}; subjects: {outcome.subjects:,};"
        f" dimension: {outcome.dimension}; {rate:,.0f} records a second",
        "rows": f"{rows.estimating:,} estimate centring and threshold; of the others"
        f" {rows.enrolled:,} are enrolled, {rows.mated:,} of the same subjects and"
        f" {rows.non_mated:,} of subjects enrolled nowhere are kept to search with,"
        f" {rows.unused:,} are not used",
        "galleries": "in one process"
        if outcome.shards is None
        else f"in {outcome.shards} shards, each on a Ray node of its own",
        "threshold": f"{outcome.threshold:.4f}, estimated for an FPIR of"
        f" {outcome.target_fpir:.2g}, which is not established",
        "refused": f"{refused} of {of} searches that named a holder which no agreement"
        " names",
    }


def _notes(notes: Mapping[str, str]) -> Table:
    """Return notes, each beside what it is about."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=15, style="bold")
    table.add_column()
    for about, text in notes.items():
        table.add_row(about, text)
    return table


def _answers(asked: Asked, *, show_header: bool) -> Table:
    """Return what a requester learnt about each holder."""
    table = Table(
        box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=show_header
    )
    for name, width in _WORDS.items():
        table.add_column(name, width=width, overflow="fold")
    for name, width in _NUMBERS.items():
        table.add_column(name, width=width, justify="right", overflow="fold")
    told = {h: p for h, p in asked.pairs.items() if p.level not in (None, "presence")}
    unnamed = [p for p in asked.pairs.values() if p.level == "presence"]
    for holder, pair in told.items():
        table.add_row(*_named(holder, pair))
    if unnamed:
        count = f"{asked.regional_matches}/{len(asked.seconds)}"
        who, wrong = f"{len(unnamed)} unnamed", str(asked.wrong_regional)
        table.add_row(who, "presence", count, "", wrong)
    if nothing := len(asked.pairs) - len(told) - len(unnamed):
        table.add_row("1 other" if nothing == 1 else f"{nothing} others", "nothing")
    return table


def _named(holder: str, pair: Pair) -> list[str]:
    """Return the row of a holder that is named."""
    return [
        holder,
        str(pair.level),
        f"{pair.matches}/{pair.searches}",
        str(pair.kept_back or ""),
        str(pair.wrong),
        _rate(pair.false_positive),
        _rate(pair.false_negative),
    ]


def _rate(rate: Rate) -> str:
    """Return a rate with its interval, in percent."""
    if not rate.of:
        return "no search"
    low, high = (100 * bound for bound in rate.interval())
    return f"{100 * rate.count / rate.of:.1f} ({low:.1f}-{high:.1f})"


def _latencies(outcome: Outcome) -> Table:
    """Return how long searches took."""
    title = "milliseconds of a search, eight at once"
    table = Table(title=title, box=SIMPLE, pad_edge=False, title_justify="left")
    table.show_edge = False
    table.add_column("requester")
    for name in ("searches", "p50", "p95", "p99"):
        table.add_column(name, justify="right")
    for asked in outcome.asked:
        if asked.seconds:
            count = str(len(asked.seconds))
            table.add_row(asked.requester, count, *_times(asked.seconds))
    table.add_section()
    everyone = [s for asked in outcome.asked for s in asked.seconds]
    table.add_row("all", str(len(everyone)), *_times(everyone))
    return table


def _times(seconds: list[float]) -> list[str]:
    """Return the quantiles in milliseconds."""
    return [f"{1e3 * float(np.percentile(seconds, q)):.1f}" for q in _QUANTILES]


def document(outcome: Outcome) -> dict[str, Any]:
    """Return everything for programs."""
    everyone = [s for asked in outcome.asked for s in asked.seconds]
    refused, of = outcome.refusals
    return {
        "wrong": outcome.wrong,
        "undecided": sum(
            pair.undecided for asked in outcome.asked for pair in asked.pairs.values()
        ),
        "records": outcome.records,
        "subjects": outcome.subjects,
        "rows": asdict(outcome.rows),
        "dimension": outcome.dimension,
        "shards": outcome.shards,
        "threshold": outcome.threshold,
        "target_fpir": outcome.target_fpir,
        "threshold_basis": "unmeasured",
        "enrolled_per_second": outcome.records / outcome.enrol_seconds,
        "refused": {"count": refused, "of": of},
        "searches": len(everyone),
        "milliseconds": _quantiles(everyone),
        "requesters": [
            {
                "requester": asked.requester,
                "purpose": asked.purpose,
                "searches": len(asked.seconds),
                "regional_matches": asked.regional_matches,
                "wrong_regional": asked.wrong_regional,
                "milliseconds": _quantiles(asked.seconds),
                "holders": {
                    holder: _pair(pair)
                    for holder, pair in asked.pairs.items()
                    if pair.level is not None
                },
            }
            for asked in outcome.asked
        ],
    }


def _pair(pair: Pair) -> dict[str, Any]:
    """Return one pair for programs."""
    return {
        "level": pair.level,
        "searches": pair.searches,
        "matches": pair.matches,
        "wrong": pair.wrong,
        "undecided": pair.undecided,
        "kept_back": pair.kept_back,
        "false_positive": _counted(pair.false_positive),
        "false_negative": _counted(pair.false_negative),
    }


def _counted(rate: Rate) -> dict[str, Any]:
    """Return one rate for programs."""
    return {"count": rate.count, "of": rate.of, "interval": list(rate.interval())}


def _quantiles(seconds: list[float]) -> dict[str, float]:
    """Return the quantiles in milliseconds, by name."""
    if not seconds:
        return {}
    return {f"p{q}": 1e3 * float(np.percentile(seconds, q)) for q in _QUANTILES}
