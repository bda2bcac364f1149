"""Two front ends of one exchange, each killed at random, under load of both.

Whoever asks the other one is answered all the while; nobody is answered wrongly, and no
write that was acknowledged is lost. `poe front-ends` kills two hundred times, and CI
four.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from load import SAMPLE, Load, wait_until
from victim import Victim

from biometrics.server.examination import examine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

KILLS = int(os.environ.get("FRONT_END_KILLS", "0"))
SEED = int(os.environ.get("FRONT_END_SEED", "1"))
LOAD_SECONDS = 0.5  # between two kills


@pytest.fixture
def load(postgres: PostgresServer, tmp_path: Path) -> Iterator[Load]:
    """Two front ends on PostgreSQL, with systems that use both in turns."""
    url = postgres.make()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one = Victim(tmp_path / "one")
    text = one.config.read_text()
    shared = f'"{url}"\nshared = true'
    one.config.write_text(text.replace('"data/exchange.sqlite"', shared))
    other = one.beside(tmp_path / "other")
    load = Load(one, other, seed=SEED)
    try:
        one.start()
        other.start()
        load.begin()
        yield load
    finally:
        load.stop()
        one.end()
        other.end()
        postgres.take_back(url)


def has_told(load: Load, answers: int) -> bool:
    """Say whether so many answers were given by now."""
    return load.told.total() >= answers


@pytest.mark.skipif(not KILLS, reason="apart from others: `poe front-ends`")
def test_whichever_is_killed_the_other_answers(
    load: Load, postgres: PostgresServer
) -> None:
    """One is killed, or both, or every process of the database."""
    random = np.random.default_rng(SEED)
    took: dict[str, list[float]] = defaultdict(list)
    wait_until(lambda: len(load.enrolled - load.leaving) >= SAMPLE)
    order = ["one", "other", "database", "both"]
    for number in range(KILLS):
        time.sleep(LOAD_SECONDS)
        what = order[number] if number < len(order) else str(random.choice(order))
        begun = time.monotonic()
        if what == "database":
            postgres.kill()
            postgres.start()
        else:
            those = load.victims if what == "both" else (load.victims[what == "other"],)
            for victim in those:
                victim.kill()
            if what != "both":  # the other one goes on
                wait_until(partial(has_told, load, load.told.total() + 20))
            for victim in those:
                victim.start()
        wait_until(load.is_whole)
        took[what].append(time.monotonic() - begun)
        assert load.wrong == []
    load.stop()
    print(load.figures(took))  # noqa: T201 - the figures
    load.refuse_wrong()
    for victim in load.victims:
        victim.kill()
    found = examine(load.victims[0].config, show=lambda _step, _done, _of: None)
    assert found.faults_by_reason == {}
