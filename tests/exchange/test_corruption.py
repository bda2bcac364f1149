"""Random damage of what is stored is detected or harmless, and never a wrong answer.

In its long form, `poe corruption`, two thousand times. Bits are flipped, blocks are
zeroed or swapped, files are cut: of the database, its log, keys, and files of codes; as
an exchange leaves them that was stopped, and as one that was killed.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from world import AGREEMENTS, World, face, record, unit

from biometrics.client import Chunk
from biometrics.errors import ExchangeError
from biometrics.server.examination import examine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.random import Generator

TRIALS = int(os.environ.get("CORRUPTIONS", "8"))
SEED = int(os.environ.get("CORRUPTION_SEED", "1"))
BLOCK = 512
ENROLLED, GONE, HIDDEN, STRANGERS = (
    range(10, 60),
    range(5),
    range(5, 10),
    range(900, 905),
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What an exchange leaves on the disk, stopped in order and killed."""
    folder = tmp_path_factory.mktemp("images")
    with World(tmp_path_factory.mktemp("world"), agreements=AGREEMENTS) as world:
        people = [*GONE, *HIDDEN, *ENROLLED]
        first, rest = people[:30], people[30:]
        enroller = world.enroller("XAA")
        for some in (first, rest):
            faces = tuple(record(f"R{n}", unit(n)) for n in some)
            list(enroller.enrol_many([Chunk(records=faces)]))
            if some is first:
                world.restart()  # so that there are codes, of an earlier position
                enroller = world.enroller("XAA")
        for number in GONE:
            enroller.withdraw(f"R{number}")
        for number in HIDDEN:
            enroller.protect(f"R{number}", excluded=["XCC"])
        # Nothing is written now: the files are as a kill would leave them.
        ignored = shutil.ignore_patterns("*-shm")
        killed = shutil.copytree(world.root, folder / "killed", ignore=ignored)
        root = world.root
    stopped = shutil.copytree(root, folder / "stopped", ignore=ignored)
    return {"stopped": stopped, "killed": killed}


def flip(content: bytearray, random: Generator) -> None:
    """Flip one bit to sixteen."""
    for place in random.integers(0, len(content), random.integers(1, 17)):
        content[place] ^= 1 << int(random.integers(8))


def cut(content: bytearray, random: Generator) -> None:
    """Cut it off anywhere."""
    del content[int(random.integers(0, len(content))) :]


def clear(content: bytearray, random: Generator) -> None:
    """Put zeros over a block."""
    start = int(random.integers(0, -(-len(content) // BLOCK))) * BLOCK
    size = len(content[start : start + BLOCK])
    content[start : start + size] = bytes(size)


def swap(content: bytearray, random: Generator) -> None:
    """Put a block over another one, as a write to the wrong place does."""
    of, to = random.integers(0, max(len(content) // BLOCK, 1), 2) * BLOCK
    block = content[of : of + BLOCK]
    content[to : to + len(block)] = block


WAYS: tuple[Callable[[bytearray, Generator], None], ...] = (
    flip,
    flip,
    cut,
    clear,
    swap,
)
KINDS = {
    "database": "data/*.sqlite",
    "log": "data/*.sqlite-wal",
    "keys": "keys/*.key",
    "codes": "data/segments/XAA/*/*",
}


def damaged(root: Path, kind: str, random: Generator) -> str:
    """Damage one file of a kind; return how, or nothing where nothing was changed."""
    files = sorted(path for path in root.glob(KINDS[kind]) if path.stat().st_size)
    if kind == "keys":  # of others there is nothing
        files = [path for path in files if path.stem in {"XAA", "exchange"}]
    if not files:
        return ""
    path = files[int(random.integers(len(files)))]
    way = WAYS[int(random.integers(len(WAYS)))]
    content = bytearray(path.read_bytes())
    before = bytes(content)
    way(content, random)
    path.write_bytes(content)
    return f"{way.__name__} {path.name}" if bytes(content) != before else ""


def answers(world: World, random: Generator) -> tuple[list[str], bool]:
    """Search for some of each sort; return what is wrong, and whether any is away."""
    wrong, is_away = [], False
    for people, right in (
        (random.choice(np.array(ENROLLED), 8, replace=False), "match"),
        (random.choice(np.array(GONE), 2, replace=False), "no-match"),
        (random.choice(np.array(HIDDEN), 2, replace=False), "no-match"),
        (random.choice(np.array(STRANGERS), 2, replace=False), "no-match"),
    ):
        for number in people:
            try:
                answer = world.client("XCC").match(
                    face(unit(int(number))),
                    purpose="border-check",
                    holders=["XAA"],
                    deadline=2,
                )
            except ExchangeError:
                is_away = True
                continue
            told = str(answer.holders[0].outcome)
            if told == "unavailable":
                is_away = True
            elif told != right:
                wrong.append(f"{number}: {told}")
    return wrong, is_away


def is_found(root: Path) -> bool:
    """Say whether `biometrics check` finds anything wrong."""
    try:
        found = examine(root / "exchange.toml", show=lambda _step, _done, _of: None)
    except ExchangeError:
        return True
    return not found.is_whole or bool(found.locked)


def test_damage_is_detected_or_harmless(
    images: dict[str, Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By the check, by the start or by the search that meets it; or nothing changes."""
    random = np.random.default_rng(SEED)
    came_to: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    with World(tmp_path_factory.mktemp("served"), agreements=AGREEMENTS) as world:
        world.stop()
        trial = 0
        while trial < TRIALS:
            kind = list(KINDS)[trial % len(KINDS)]
            image = "killed" if kind == "log" else str(random.choice(list(images)))
            world.root = shutil.copytree(images[image], tmp_path / "exchange")
            told = damaged(world.root, kind, random)
            if told:
                trial += 1
                found = is_found(world.root)
                try:
                    world.start()
                    mistakes, is_away = answers(world, random)
                except ExchangeError:
                    mistakes, is_away = [], True
                if mistakes:
                    came = "wrong, found by check" if found else "wrong"
                    wrong.append(f"{told} of {image}: {', '.join(mistakes)}; {came}")
                elif found:
                    came = "found by check"
                else:
                    came = "UNAVAILABLE or no start" if is_away else "harmless"
                came_to[kind, came] += 1
                world.stop()
            shutil.rmtree(tmp_path / "exchange")
    print(*sorted(came_to.items()), *wrong, sep="\n")  # noqa: T201 - of the long form
    assert wrong == []
