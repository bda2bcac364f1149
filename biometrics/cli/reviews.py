"""`biometrics reviews`: records that were frozen, and what becomes of that."""

from dataclasses import asdict
from typing import Annotated

import typer

from biometrics.cli.output import print_json, print_line, print_table
from biometrics.cli.session import JsonOption, ProfileOption, connect

app = typer.Typer(
    help="Records that were frozen for a requester, and alerts.", no_args_is_help=True
)

CaseArgument = Annotated[
    str, typer.Argument(help="What `list` names it by.", metavar="CASE")
]


@app.callback()
def group() -> None:
    """Records that were frozen for a requester, and alerts."""


@app.command("list")
def list_reviews(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """List the freezes that your member is a side of.

    A record is frozen for a requester that has searched too often near its threshold:
    for this one it is as if it were not there. Takes an auditor's or an administrator's
    certificate.
    """
    with connect(context, profile) as exchange:
        found = exchange.reviews()
    if as_json:
        print_json({"reviews": [asdict(review) for review in found]})
        return
    print_table(
        ("case", "holder", "requester", "searches", "lapses", "requester", "auditor"),
        [
            (
                review.case,
                review.holder or "(not named)",
                review.requester,
                review.searches,
                review.lapses_on or "confirmed",
                review.requester_says or "-",
                review.auditor_says or "-",
            )
            for review in found
        ],
    )


@app.command()
def confirm(
    context: typer.Context,
    case: CaseArgument,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Say that a freeze should last; it does once the other side says so too.

    Unless it is confirmed within 72 hours, it lapses. Takes the certificate of the
    requester's administrator or of the holder's auditor.
    """
    _decide(context, case, "confirm", as_json=as_json, profile=profile)


@app.command()
def lift(
    context: typer.Context,
    case: CaseArgument,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Say that a freeze should end; it does once the other side says so too.

    What was counted is forgotten then. Takes the certificate of the requester's
    administrator or of the holder's auditor.
    """
    _decide(context, case, "lift", as_json=as_json, profile=profile)


@app.command()
def alerts(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """List how often the use of an agreement gave cause for an alert.

    `drift` is of no agreement: canary probes, which are nobody, match more often in the
    template space that is named than its calibration promises.
    """
    with connect(context, profile) as exchange:
        found = exchange.alerts()
    if as_json:
        print_json({"alerts": [asdict(alert) for alert in found]})
        return
    print_table(
        ("alert", "holder", "requester", "count"),
        [(a.kind, a.space or a.holder or "(all)", a.requester, a.count) for a in found],
    )


def _decide(
    context: typer.Context,
    case: str,
    verdict: str,
    *,
    as_json: bool,
    profile: ProfileOption,
) -> None:
    """Say what your side thinks, and print whether it is done."""
    with connect(context, profile) as exchange:
        decided = exchange.decide_review(case, verdict)
    if as_json:
        print_json({"case": case, "verdict": verdict, "decided": decided})
        return
    done = "done" if decided else "waits for the other side to say so"
    print_line(f"{verdict} {case}: {done}")
