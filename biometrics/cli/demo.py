"""`biometrics demo`: a whole pilot on this machine."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from biometrics import limits
from biometrics.cli.exits import Exit
from biometrics.cli.output import print_json, print_note
from biometrics.cli.session import JsonOption


def demo(  # noqa: PLR0913 - a parameter an option
    *,
    records: Annotated[
        int | None,
        typer.Option(
            help="Records to enrol, at most. By default 20,000 of the synthetic"
            " population, or all that FILE.npz has.",
            metavar="N",
            min=50,
            max=1_000_000,
        ),
    ] = None,
    searches: Annotated[
        int,
        typer.Option(
            help="Searches of each requester, half of them mated; fewer where the"
            " embeddings run out.",
            metavar="N",
            min=2,
        ),
    ] = 200,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            help="`.npz` with `embedding` and `subject` (integers or texts), in place"
            " of the synthetic population. Half of the subjects estimate centring and"
            " threshold, the other half is enrolled and searched.",
            metavar="FILE.npz",
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Keep everything in this new folder: keys, and gallery files in the"
            " clear.",
            metavar="DIR",
        ),
    ] = None,
    console: Annotated[
        bool,
        typer.Option(
            "--console",
            help="Open `biometrics console` on it, and let searches go on until"
            " Ctrl-C; needs the extra `console`.",
        ),
    ] = False,
    shards: Annotated[
        int | None,
        typer.Option(
            help="Have galleries in so many shards, each on a Ray node of its own, all"
            " of them processes on this machine; needs the extra `cluster`.",
            metavar="N",
            min=1,
            max=limits.MAX_TRIAL_NODES,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of all that is drawn.", metavar="N", min=0)
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Run a whole pilot on this machine: members, server, enrolment, searches.

    Exits with 0 if every answer is the right one, and with 1 if any is wrong: differs
    from an exhaustive float64 decision, or from what the agreements allow. False
    positives and negatives against the true identities are rates, not failures.
    """
    # Late: nobody else should wait for what the demo needs.
    from biometrics.cli.progress import StepProgress  # noqa: PLC0415
    from biometrics.demo import pilot, report  # noqa: PLC0415

    if keep is not None:
        pilot.make_folder(keep)
    folder = nullcontext(keep) if keep else TemporaryDirectory(prefix="biometrics-")
    with stopped_by_signals(), folder as directory, StepProgress() as progress:
        outcome = pilot.run(
            pilot.Plan(
                directory=Path(directory),
                records=records,
                searches=searches,
                embeddings=embeddings,
                seed=seed,
                shards=shards,
                shown=tell_console if console else None,
            ),
            progress.show,
        )
    if as_json:
        print_json(report.document(outcome))
    else:
        report.show(outcome)
    if keep is not None:
        print_note(f"kept in {keep}: exchange/ is served by `biometrics serve`")
    if outcome.wrong:
        raise typer.Exit(Exit.UNFINISHED)


def tell_console(address: str, browsers: list[tuple[Path, str]]) -> None:
    """Say where the console is, and what a browser needs to be let in."""
    print_note(f"console: {address}, for a browser with one of these certificates,")
    print_note("to be imported with its password (development only):")
    for path, password in browsers:
        print_note(f"  {path}  {password}")


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does: stop the server, and clear up.

    What is ignored stays so, as SIGHUP is under `nohup`.
    """
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
