"""`biometrics conformance`: whether a member's own systems are fit to take part."""

import json
import secrets
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biometrics.callers import Role
from biometrics.cli.exits import Exit
from biometrics.cli.output import plain, print_json, print_line, print_table
from biometrics.cli.session import JsonOption
from biometrics.clock import SystemClock
from biometrics.members import Member

if TYPE_CHECKING:
    from biometrics.conformance import Result


def conformance(  # noqa: PLR0913 - an option each
    *,
    code: Annotated[
        str, typer.Option("--as", help="Your member code.", metavar="CODE")
    ],
    profiles: Annotated[
        Path,
        typer.Option(
            help="Folder of your profiles, `CODE-ROLE.toml` for each role.",
            metavar="FOLDER",
            file_okay=False,
            exists=True,
        ),
    ],
    without: Annotated[
        list[Role] | None,
        typer.Option(help="A role in which you have no system.", metavar="ROLE"),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="The template space to try.", metavar="NAME"),
    ] = None,
    key: Annotated[
        str,
        typer.Option(
            help="That log and receipts are signed by, as the operator told it to you;"
            " otherwise the exchange is asked.",
            metavar="KEY",
        ),
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(help="Write the report as JSON into this file.", metavar="FILE"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Try your own systems against an exchange, as a member that joins has to.

    It asks with your certificates: your files and clock, TLS, what each role may call,
    searches and their receipts, enrolments. Probes are random vectors, of nobody. A few
    such records are enrolled into your own gallery, `conformance-...`, and
    withdrawn at the end; they would expire within a day. Nothing else is changed.

    Exits with 0 only if every check was made and passed.
    """
    # Late: the server brings the engine and the database with it.
    from biometrics.conformance import Asked, State, run  # noqa: PLC0415

    asked = Asked(
        member=Member(code),
        profiles=profiles,
        without=frozenset(without or ()),
        space=space,
        key=key,
    )
    clock = SystemClock()
    results = run(asked, clock=clock, random_bytes=secrets.token_bytes)
    counts = Counter(result.state for result in results)
    is_passed = counts[State.PASSED] == len(results)
    document = {
        "member": asked.member.code,
        "at": clock.now(),
        "without": sorted(asked.without),
        "passed": is_passed,
        "checks": [asdict(result) for result in results],
    }
    if report is not None:
        report.write_text(json.dumps(document, indent=2, default=plain) + "\n", "utf-8")
    if as_json:
        print_json(document)
    else:
        _show(results)
        said = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
        print_line(f"{asked.member}: {'fit' if is_passed else 'NOT FIT'}: {said}")
    if not is_passed:
        raise typer.Exit(Exit.UNFINISHED)


def _show(results: "list[Result]") -> None:
    """Print the report for people."""
    print_table(
        ("about", "check", "state", "found"),
        [(r.about, r.check, r.state, r.told) for r in results],
        texts=("found", "check"),
    )
