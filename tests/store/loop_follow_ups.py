"""Makes follow-ups until it is killed; a line for each step that was acknowledged."""

from __future__ import annotations

import itertools
import sys

from store.desk import Desk
from store.loop_writer import Place
from store.shelf import Shelf


def main(place: Place) -> None:
    """Enrol, give, ask, confirm, release and read, one record after the other."""
    shelf = Shelf(place)
    for number in itertools.count():
        desk = Desk(shelf, f"{number}")
        shelf.enrol(desk.word)
        desk.give()
        for step in (desk.ask, desk.confirm, desk.release, desk.read):
            step()
            sys.stdout.write(f"{step.__name__} {number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Place(sys.argv[1]))
