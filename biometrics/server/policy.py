"""Reads the files that say what may be compared and whose signatures count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.settings import read_bytes, read_text
from biometrics.signing import parse_signers
from biometrics.spaces import parse_spaces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from biometrics.disclosure import Clause
    from biometrics.members import Member
    from biometrics.signing import Signers
    from biometrics.templates import TemplateSpaces


def read_spaces(path: Path) -> TemplateSpaces:
    """Return the template spaces of the file at `path`.

    Raises:
        ConfigurationError: with every fault at once.
    """
    return parse_spaces(read_text(path), path.name, path.parent)


def read_signers(path: Path) -> Signers:
    """Return the signers of the file at `path`.

    Raises:
        ConfigurationError: with every fault at once.
    """
    return parse_signers(read_bytes(path), path.name)


def strangers(clauses: Iterable[Clause], members: Collection[Member]) -> list[str]:
    """Return a note for each clause that names a requester who is no member here.

    It may be one who has left, or a mistyped prohibition that protects from nobody.
    """
    return [
        f"`{clause.source}` names {clause.requester}, which is no member of this"
        " exchange: the clause has no effect"
        for clause in clauses
        if clause.requester is not None and clause.requester not in members
    ]
