"""Prints what the demo found: a table for people, or one document for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from biometrics.demo.pilot import Outcome
    from biometrics.demo.tally import Asked, Pair, Rate

_QUANTILES = (50, 95, 99)
_FILE_WIDTH = 140  # of tables that are not for a terminal


def show(outcome: Outcome) -> None:
    """Print the tables and what follows from them."""
    console = Console(width=None if sys.stdout.isatty() else _FILE_WIDTH)
    table = Table(title="What each requester learnt about each holder")
    for name in ("requester", "purpose", "holder", "allowed"):
        table.add_column(name, no_wrap=True)
    for name in ("searches", "match", "wrong", "FP rate [95 %]", "FN rate [95 %]"):
        table.add_column(name, justify="right", no_wrap=True)
    for asked in outcome.asked:
        for holder, pair in asked.pairs.items():
            table.add_row(*_row(asked, holder, pair))
        table.add_section()
    console.print(table)
    times = Table(title="Time of a search as its requester sees it, milliseconds")
    for name in ("requester", "searches", "p50", "p95", "p99"):
        times.add_column(name, justify="right")
    for asked in outcome.asked:
        if asked.seconds:
            times.add_row(
                asked.requester, str(len(asked.seconds)), *_times(asked.seconds)
            )
    everyone = [s for asked in outcome.asked for s in asked.seconds]
    times.add_section()
    times.add_row("all", str(len(everyone)), *_times(everyone))
    console.print(times)
    refused, of = outcome.refusals
    console.print(
        f"{outcome.records} records of {outcome.subjects} subjects,"
        f" {outcome.dimension}-d, enrolled at"
        f" {outcome.records / outcome.enrol_seconds:,.0f} a second;"
        f" threshold {outcome.threshold:.4f} (an estimate: FPIR not established).\n"
        f"Holders named without an agreement that names them: {refused} of {of}"
        " refused."
    )
    style = "bold red" if outcome.wrong else "bold green"
    console.print(f"Wrong answers: {outcome.wrong}", style=style)


def _row(asked: Asked, holder: str, pair: Pair) -> list[str]:
    """Return one row of the table."""
    head = [asked.requester, asked.purpose, holder]
    if pair.level is None:
        return [*head, "nothing", "", "", "", "", ""]
    if pair.level == "presence":
        return [
            *head,
            "presence",
            str(pair.searches),
            "unnamed",
            str(pair.wrong),
            "",
            "",
        ]
    return [
        *head,
        pair.level,
        str(pair.searches),
        str(pair.matches),
        str(pair.wrong),
        _rate(pair.false_positive),
        _rate(pair.false_negative),
    ]


def _rate(rate: Rate) -> str:
    """Return a rate with its interval."""
    if not rate.of:
        return "none"
    low, high = rate.interval()
    return f"{rate.count}/{rate.of} [{low:.3f}, {high:.3f}]"


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
