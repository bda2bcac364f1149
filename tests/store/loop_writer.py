"""Writes until it is killed.

A line for each write that was acknowledged; and one before each withdrawal, which may
be durable though the kill came before its acknowledgement.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from store.shelf import Shelf, request


class Place:
    """Where a store is; nothing is done there behind its back."""

    def __init__(self, where: str) -> None:
        """Take a path or a URL."""
        self.where = where if "://" in where else Path(where)


def main(place: Place, turn: str) -> None:
    """Enrol small chunks, and withdraw every third one's first record."""
    shelf = Shelf(place)
    for n in itertools.count():
        references = [f"{turn}-{n}-{k}" for k in range(3)]
        shelf.begin_enrol(
            *(shelf.record(reference) for reference in references),
            request_id=request(f"{turn} {n}"),
        ).result()
        sys.stdout.write(f"enrolled {' '.join(references)}\n")
        if n % 3 == 0:
            sys.stdout.write(f"withdrawing {references[0]}\n")
            sys.stdout.flush()
            shelf.withdraw(references[0], request_id=request(f"{turn} {n} out"))
            sys.stdout.write(f"withdrawn {references[0]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Place(sys.argv[1]), sys.argv[2])
