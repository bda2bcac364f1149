"""`biometrics slots`: how long an answer is to be held back."""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray

from biometrics import limits
from biometrics.cli.output import print_json, print_line
from biometrics.cli.session import JsonOption, ProfileOption, connect
from biometrics.client import Template
from enrolment.formats.arrays import read_npz

app = typer.Typer(help="When answers to searches leave.", no_args_is_help=True)

_MOST_PROBES: Final = 4096  # of the file; they are used again
_WARM_UP: Final = 10  # searches that do not count
_MARGIN: Final = 1.25
_STEP_MS: Final = 5
_SHARES: Final = (50, 99, 99.9)


@app.callback()
def group() -> None:
    """When answers to searches leave."""


@app.command("measure")
def measure(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="`.npz` with `embedding`: probes, some of people who are enrolled,"
            " whose searches take longest.",
            metavar="FILE",
        ),
    ],
    *,
    space: Annotated[str, typer.Option(help="Template space.", metavar="NAME")],
    purpose: Annotated[
        str, typer.Option(help="Such as `border-check`.", metavar="WORD")
    ],
    position: Annotated[
        str, typer.Option(help="Such as `right-thumb`.", metavar="WORD")
    ] = "face",
    searches: Annotated[
        int, typer.Option(help="How many to time.", min=100, metavar="N")
    ] = 1000,
    callers: Annotated[
        int, typer.Option(help="How many at once.", min=1, max=64, metavar="N")
    ] = 1,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Time searches, and suggest `[answers] slot_ms`.

    To be run on an exchange of the size that it is for, with `slot_ms = 1` while it is
    measured, and with as many callers as it will have. The searches are real, and count
    as such.
    """
    probes = _probes(file)
    with connect(context, profile) as exchange:

        def ask(vector: NDArray[np.float32]) -> object:
            template = Template(space=space, position=position, vector=vector)
            return exchange.match(template, purpose=purpose)

        milliseconds = _timed(ask, probes, searches, callers)
    told = {
        "searches": searches,
        "callers": callers,
        **{
            f"p{share:g}_ms": float(np.percentile(milliseconds, share))
            for share in _SHARES
        },
        "most_ms": float(milliseconds.max()),
        "slot_ms": suggested(milliseconds),
    }
    if as_json:
        print_json(told)
        return
    parts = [f"p{share:g} {told[f'p{share:g}_ms']:.1f}" for share in _SHARES]
    print_line(
        f"{searches} searches, {callers} at once, ms: {', '.join(parts)},"
        f" longest {told['most_ms']:.1f}"
    )
    print_line(f"suggested: [answers] slot_ms = {told['slot_ms']}")


def suggested(milliseconds: NDArray[np.float64]) -> int:
    """Return the slot that nearly all of some searches would have ended within.

    A quarter more than one in a thousand took, up to a whole five milliseconds.
    """
    enough = _MARGIN * float(np.percentile(milliseconds, _SHARES[-1]))
    whole = _STEP_MS * math.ceil(enough / _STEP_MS)
    return min(whole, limits.MAX_SLOT_MILLISECONDS)


def _probes(path: Path) -> list[NDArray[np.float32]]:
    """Return the probes of a file, as many as are of use."""
    rows = itertools.chain.from_iterable(
        block.astype(np.float32) for _, block in read_npz(path).rows(_MOST_PROBES)
    )
    return list(itertools.islice(rows, _MOST_PROBES))


def _timed(
    ask: Callable[[NDArray[np.float32]], object],
    probes: list[NDArray[np.float32]],
    searches: int,
    callers: int,
) -> NDArray[np.float64]:
    """Return how many milliseconds each search took."""

    def one(probe: NDArray[np.float32]) -> float:
        begun = time.perf_counter()
        ask(probe)
        return 1e3 * (time.perf_counter() - begun)

    asked: Iterator[NDArray[np.float32]] = itertools.cycle(probes)
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(one, itertools.islice(asked, _WARM_UP * callers)))
        return np.array(list(pool.map(one, itertools.islice(asked, searches))))
