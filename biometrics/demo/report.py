"""Prints what the demo found: a table for people, or one document for programs."""

from __future__ import annotations

import sys
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from biometrics.demo.pilot import Outcome
    from biometrics.demo.tally import Pair, Rate

_QUANTILES = (50, 95, 99)
_FILE_WIDTH = 100  # of tables that are not for a terminal


def show(outcome: Outcome) -> None:
    """Print the tables and what follows from them."""
    console = Console(width=None if sys.stdout.isatty() else _FILE_WIDTH)
    console.print(_answers(outcome))
    console.print(_latencies(outcome))
    refused, of = outcome.refusals
    console.print(
        f"{outcome.records} records of {outcome.subjects} subjects,"
        f" {outcome.dimension}-d, enrolled at"
        f" {outcome.records / outcome.enrol_seconds:,.0f} a second; threshold"
        f" {outcome.threshold:.4f}, an estimate: FPIR not established.\n"
        f"Searches that named a holder which no agreement names: {refused} of {of}"
        " refused.\n"
        "kept back: only records of people protected from this requester reached the"
        " threshold; it was told no-match.\n"
        "false positives, false negatives: of the searches without and with a mate that"
        " the requester may learn of, in percent, with 95 % intervals (Wilson).",
        highlight=False,
    )
    style = "bold red" if outcome.wrong else "bold green"
    console.print(f"Wrong answers: {outcome.wrong}", style=style)


def _answers(outcome: Outcome) -> Table:
    """Return what each requester learnt about each holder."""
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("requester", "holder", "allowed"):
        table.add_column(name)
    for name in (
        "match",
        "kept\nback",
        "wrong",
        "false\npositives",
        "false\nnegatives",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for asked in outcome.asked:
        told = {
            h: p for h, p in asked.pairs.items() if p.level not in (None, "presence")
        }
        unnamed = [p for p in asked.pairs.values() if p.level == "presence"]
        rows = [_named(holder, pair) for holder, pair in told.items()]
        if unnamed:
            count = f"{asked.regional_matches}/{len(asked.seconds)}"
            wrong = str(asked.wrong_regional)
            rows.append(
                [f"{len(unnamed)} unnamed", "presence", count, "", wrong, "", ""]
            )
        if nothing := len(asked.pairs) - len(told) - len(unnamed):
            others = "1 other" if nothing == 1 else f"{nothing} others"
            rows.append([others, "nothing", "", "", "", "", ""])
        for who, row in zip_longest(asked.words(), rows, fillvalue=None):
            table.add_row(who or "", *(row or ()))
        table.add_section()
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
    title = "milliseconds of a search"
    table = Table(title=title, box=SIMPLE, pad_edge=False, title_justify="left")
    for name in ("requester", "searches", "p50", "p95", "p99"):
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
        "dimension": outcome.dimension,
        "threshold": outcome.threshold,
        "threshold_basis": "unmeasured",
        "enrolled_per_second": outcome.records / outcome.enrol_seconds,
        "refused": {"count": refused, "of": of},
        "searches": len(everyone),
        "milliseconds": _quantiles(everyone),
        "requesters": [
            {
                "requester": asked.requester,
                "purpose": asked.purpose,
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
