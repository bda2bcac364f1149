"""Lives of a whole exchange on a disk that loses its power, each from a seed.

Nothing that was acknowledged is lost, and nothing that was withdrawn or erased is
back; index and log are those of the database, and `biometrics check` finds nothing.
What the simulation is worth is shown by exchanges that lack one flush, one field or one
order: it finds each of them.

In its long form, `poe simulation`, three hundred lives. To live one again:

    SIMULATION_FIRST=287 SIMULATION_SEEDS=1 python -m pytest tests/simulation -k lives
"""

from __future__ import annotations

import os
import shutil
import tempfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from failing_disk import library
from simulation.disk import Disk
from simulation.exchange import no_doors
from simulation.life import Life, Place, lived
from simulation.mutants import MUTANTS
from simulation.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = int(os.environ.get("SIMULATION_FIRST", "0"))
SEEDS = int(os.environ.get("SIMULATION_SEEDS", "8"))
MOST_SEEDS = 300
AT_ONCE = 10
IS_LONG = SEEDS >= MOST_SEEDS
FEW = (
    "no flush of a commit",
    "answers before the leaf is durable",
    "not bound to its record",
)
MEMORY = Path("/dev/shm")  # noqa: S108 - nothing is flushed but to the model

pytestmark = pytest.mark.skipif(
    library() is None, reason="Python has an SQLite of its own that cannot be watched"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory, where there is such a one."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="simulation-", dir=place))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def place(folder: Path) -> Iterator[Place]:
    """An exchange's files, on a disk that is watched."""
    watch = Watch()
    with no_doors() as started, watch.watching():
        yield Place(folder, watch, started)


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_lives_end_with_all_that_was_acknowledged(place: Place, first: int) -> None:
    """Whatever the power leaves, and wherever it goes."""
    seeds = range(FIRST + first, FIRST + min(first + AT_ONCE, SEEDS))
    wrong = {seed: told for seed in seeds if (told := lived(place, seed))}
    assert wrong == {}


def test_a_seed_is_one_life(place: Place) -> None:
    """The same seed does the same, loses power at the same event, and leaves the same.

    But for what the system's randomness gives a key; it changes no size.
    """
    shapes = []
    for _ in range(2):
        life = Life(place, 7)
        life.live()
        sizes = {
            str(path.relative_to(place.root)).partition(".segment")[0][:24]: (
                path.stat().st_size
            )
            for path in sorted(place.root.glob("data/*.sqlite*"))
            if not path.name.endswith("-shm")
        }
        shapes.append((life.disk.trace, sorted(sizes.items())))
    assert shapes[0] == shapes[1]
    assert shapes[0][0]


@pytest.mark.parametrize("name", MUTANTS if IS_LONG else FEW)
def test_what_an_exchange_lacks_is_found(folder: Path, name: str) -> None:
    """Each that lacks one thing, within three hundred lives; most within ten."""
    watch = Watch()
    with MUTANTS[name].make(), no_doors() as started, watch.watching():
        place = Place(folder, watch, started)
        for seed in range(MOST_SEEDS):
            told = lived(place, seed)
            if any(MUTANTS[name].shows in each for each in told):
                print(f"{name}: seed {seed}: {told[0]}")  # noqa: T201 - the long form
                return
            assert told == []
    pytest.fail("it was not found")


def test_a_disk_leaves_old_and_new(folder: Path) -> None:
    """What was not flushed is there, or not, or in part; what was flushed is there."""
    watch = Watch()
    left = set()
    for seed in range(60):
        top = folder / f"data{seed}"
        top.mkdir()
        (top / "old").write_bytes(b"a" * 1024)
        disk = watch.disk = Disk(folder, (top.name,), np.random.default_rng(seed))
        with watch.watching():
            (top / "old").write_bytes(b"b" * 1024)
            with (top / "draft").open("wb") as file:
                file.write(b"flushed")
                file.flush()
                os.fsync(file.fileno())
            (top / "draft").rename(top / "new")
            disk.lose_power()
        disk.close()
        watch.disk = None
        assert disk.image is not None
        names = {Path(name).name: content for name, content in disk.image.items()}
        assert names.get("new", b"flushed") == b"flushed"
        assert names.get("draft", b"flushed") == b"flushed"
        content = names["old"]
        assert content is not None
        left.add((content[:1], content[512:513], "new" in names, "draft" in names))
    assert {each[:2] for each in left} == set(product((b"a", b"b"), repeat=2))
    assert {each[2:] for each in left} >= {(True, False), (False, False)}
