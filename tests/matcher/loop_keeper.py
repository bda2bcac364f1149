"""Enrols, joins and saves until it is killed; one line says that it has begun."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from archive import OTHER_FACES, Archive

import matcher.engine.engine as under_test

under_test.TAIL_ROWS = 32  # type: ignore[misc]


def main() -> None:
    """Never return."""
    archive = Archive(Path(sys.argv[1]))
    archive.start()
    for person in itertools.count(int(sys.argv[2]), 3):
        archive.enrol(OTHER_FACES, person, person + 1, person + 2)
        archive.withdraw(OTHER_FACES, person + 1)
        archive.follow()
        if person % 5 == 0:
            archive.compact()
        archive.save()
        if person == int(sys.argv[2]):
            print("saving", flush=True)  # noqa: T201


main()
