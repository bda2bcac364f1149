"""What lies beside a folder of agreements: what can be kept, and who is known."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from biometrics.signing import Signers, read_signers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from biometrics.disclosure import Clause
    from biometrics.server.rates import Rates


def rates_beside(agreements: Path) -> Rates | None:
    """Return the calibrations beside the agreements, for an exchange that is empty.

    What is not kept there is kept nowhere; how much an exchange holds only it knows.

    Args:
        agreements: the folder, or an agreement in it.

    Returns:
        None where there is no `spaces.toml` with a folder `calibrations` beside it.

    Raises:
        ConfigurationError: with every fault in them.
    """
    # Late: most commands need no server.
    from biometrics.server.policy import read_calibrated  # noqa: PLC0415
    from biometrics.server.rates import Rates  # noqa: PLC0415

    root = folder_of(agreements).parent
    spaces, calibrations = root / "spaces.toml", root / "calibrations"
    if not spaces.is_file() or not calibrations.is_dir():
        return None
    return Rates(*read_calibrated(spaces, calibrations), lambda _: 1)


def folder_of(agreements: Path) -> Path:
    """Return the folder of agreements that is named, or in which the named one lies."""
    path = agreements.absolute()
    return path if path.is_dir() else path.parent


def list_path(agreements: Path) -> Path:
    """Return where the list of signers is looked for: in the folder above."""
    return folder_of(agreements).parent / "signers.toml"


def signers_beside(agreements: Path) -> Signers | None:
    """Return the list of signers of a folder of agreements; None where there is none.

    Raises:
        ConfigurationError: with every fault in it.
    """
    path = list_path(agreements)
    return read_signers(path) if path.is_file() else None


def strangers(
    clauses: Iterable[Clause],
    places: Collection[Path],
    lists: Iterable[Signers | None],
) -> Iterator[str]:
    """Yield a warning of each requester that may be nobody.

    A code that could be a member's is no mistake in a file, but may be a mistyped one:
    a prohibition of it protects from nobody. Who is a member only an exchange knows.

    Args:
        clauses: those that are to be signed.
        places: agreements, or folders of them, whose holders are known.
        lists: lists of signers, whose holders are known.
    """
    known = {
        path.stem for place in places for path in folder_of(place).glob("*.toml")
    } | {holder.code for each in lists if each for holder in each.holders}
    named: dict[str, list[str]] = defaultdict(list)
    for clause in clauses:
        if clause.requester is not None and clause.requester.code not in known:
            named[clause.requester.code].append(f"`{clause.source}`")
    for code, sources in sorted(named.items()):
        yield (
            f"{', '.join(sources)}: {code} has no agreement here, and nobody is listed"
            " to sign for it: if it is mistyped, lines about it have no effect"
        )
