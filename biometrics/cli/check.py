"""`biometrics check`: whether everything that an exchange has stored is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from biometrics import limits
from biometrics.cli.exits import Exit
from biometrics.cli.output import (
    counted,
    fault_documents,
    print_json,
    print_line,
    print_note,
)
from biometrics.cli.session import (  # noqa: TC001 - typer reads the annotations
    ConfigOption,
    JsonOption,
)

if TYPE_CHECKING:
    from biometrics.server.examination import Examined


def check(
    config: ConfigOption,
    *,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Check tables and keys, and open no template."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that everything that is stored is whole, while the exchange is stopped.

    Reads the database, its journal, keys, agreements and files of codes, opens every
    sealed value, and compares them with one another; changes nothing. What is wrong
    goes to stdout, one line each: where, what, and what to do. Galleries whose key is
    not at hand are not opened, which is no fault. Exits with 0 only if nothing is
    wrong. Whether a start would go well is told by `serve --check`.
    """
    # Late: the server brings the engine and the database with it.
    from biometrics.cli.progress import StepProgress  # noqa: PLC0415
    from biometrics.server.examination import examine  # noqa: PLC0415

    with StepProgress() as progress:
        found = examine(config, is_quick=quick, show=progress.show)
    if as_json:
        print_json(_document(found))
    else:
        _show(found, is_quick=quick)
    if not found.is_whole:
        raise typer.Exit(Exit.UNFINISHED)


def _document(found: Examined) -> dict[str, object]:
    """Return what a program is told."""
    return {
        "whole": found.is_whole,
        "position": found.position,
        "records": found.records,
        "templates": found.templates,
        "opened": dict(found.opened),
        "not_opened": dict(found.not_opened),
        "locked": found.locked,
        "faults": fault_documents(found.faults),
        "faults_by_reason": dict(found.faults_by_reason),
    }


def _show(found: Examined, *, is_quick: bool) -> None:
    """Print what was found, for people."""
    for fault in found.faults[: limits.MAX_FAULTS_SHOWN]:
        print_line(f"{fault.field}: {fault.message}")
    total = found.faults_by_reason.total()
    if total > limits.MAX_FAULTS_SHOWN:
        more = total - limits.MAX_FAULTS_SHOWN
        print_line(f"and {more:,} more; `--json` lists {limits.MAX_FAULTS_KEPT:,}")
    for member, why in sorted(found.locked.items()):
        print_note(f"not opened: galleries of {member} are locked: {why}")
    for kind, count in sorted(found.not_opened.items()):
        print_note(f"not opened: {count:,} {kind}")
    stored = (
        f"{counted(found.records, 'record')} with"
        f" {counted(found.templates, 'template')}, journal at {found.position:,}"
    )
    opened = ", ".join(f"{count:,} {kind}" for kind, count in found.opened.items())
    print_line(f"{stored}; opened: {opened or 'nothing'}")
    told = "checked in part, without opening values: " if is_quick else ""
    verdict = "everything is whole" if found.is_whole else f"{counted(total, 'fault')}"
    print_line(f"{told}{verdict}")
