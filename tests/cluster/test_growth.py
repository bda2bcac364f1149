"""Another number of shards, of a running exchange on a Ray cluster."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from cluster_world import RULES, ClusterWorld, outcomes, until
from fused import CALIBRATIONS
from victim import Victim
from world import face, record, unit

from biometrics.client import Chunk, ExchangeClient, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PEOPLE = 120
MORE = 30


@pytest.fixture
def growing(cluster: str, tmp_path: Path) -> Iterator[ClusterWorld]:
    """An exchange with two shards."""
    world = ClusterWorld(tmp_path, agreements=RULES, calibrations=CALIBRATIONS)
    with world.on(cluster, shards=2):
        yield world


def set_shards(config: Path, before: int, shards: int, *others: str) -> None:
    """Edit the settings, and others with them."""
    text = config.read_text()
    assert f"\nshards = {before}\n" in text
    text = text.replace(f"\nshards = {before}\n", f"\nshards = {shards}\n")
    for line in others:
        name = line.partition(" = ")[0]
        text = re.sub(rf"(?m)^{name} = .*\n", line, text)
    config.write_text(text)


def has(world: ClusterWorld, shards: int) -> bool:
    """Say whether so many shards are searched, and no other is there."""
    last, others = world.remotes[-shards:], world.remotes[:-shards]
    return (
        len(world.exchange.shards()) == shards == len(last)
        and world.is_whole()
        and all(remote.is_gone() for remote in others)
    )


def test_who_is_there_is_found_before_during_and_after(
    growing: ClusterWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """More shards, and fewer: nobody is UNAVAILABLE, whatever is enrolled meanwhile."""
    growing.enrol(range(PEOPLE))
    began = 1000
    with growing.searched(PEOPLE, range(began, began + 2 * MORE)) as searches:
        searches.go_on()
        for before, shards in ((2, 3), (3, 1)):
            set_shards(growing.root / "exchange.toml", before, shards)
            made = len(growing.remotes)
            until(lambda made=made: len(growing.remotes) > made)
            for number in range(began, began + MORE, 2):
                growing.enrol(range(number, number + 2))
                growing.enroller("XAA").withdraw(f"case-{number}")
            began += MORE
            until(lambda shards=shards: has(growing, shards))
            searches.go_on()
    assert searches.told.keys() == {(True, "match"), (False, "no-match")}
    assert sum(s.templates for s in growing.exchange.shards()) == PEOPLE + MORE
    client = growing.client("XCC")
    for number in (*range(PEOPLE), *range(1000, 1000 + 2 * MORE)):
        is_there = number < PEOPLE or number % 2
        found = outcomes(client, face(unit(number)), "XAA")
        assert found == {"XAA": Outcome.MATCH if is_there else Outcome.NO_MATCH}
    growing.client("XAA", "administrator").lock()
    found = outcomes(client, face(unit(1)), "XAA")
    assert found == {"XAA": Outcome.UNAVAILABLE}
    # Of what else is edited with it nothing is taken up.
    there = len(growing.remotes)
    caplog.clear()
    set_shards(growing.root / "exchange.toml", 1, 2, "shard_mb = 301\n")
    until(lambda: "settings: `[matcher]`: counts from the next start on" in caplog.text)
    assert len(growing.remotes) == there


def test_who_is_killed_in_the_middle_starts_as_the_settings_say(
    cluster: str, tmp_path: Path
) -> None:
    """Whenever that is, everybody who was acknowledged is found then."""
    victim = Victim(tmp_path)
    victim.config.write_text(
        f'{victim.config.read_text()}\n[matcher]\nengine = "ray"\n'
        f'address = "{cluster}"\nshards = 1\nshard_mb = 300\ntemplates_together = 8\n'
    )

    def enrol(numbers: range) -> None:
        people = tuple(record(f"case-{n}", unit(n)) for n in numbers)
        with ExchangeClient(victim.profile("XAA", "enroller")) as client:
            list(client.enrol_many([Chunk(records=people)]))

    log = victim.root / "serve.log"
    try:
        victim.start()
        enrol(range(MORE))
        turns = [(1, 2, 0.0), (2, 3, 1.5), (3, 2, 3.0)]
        for turn, (before, shards, seconds) in enumerate(turns, 1):
            said = log.read_text().count("shards are filled")
            set_shards(victim.config, before, shards)
            until(lambda said=said: log.read_text().count("shards are filled") > said)
            enrol(range(turn * MORE, (turn + 1) * MORE))
            time.sleep(seconds)
            victim.kill()
            victim.start()
            with ExchangeClient(victim.profile("XCC", "client")) as client:
                for number in range((turn + 1) * MORE):
                    found = outcomes(client, face(unit(number)), "XAA")
                    assert found == {"XAA": Outcome.MATCH}
                nobody = outcomes(client, face(unit(9999)), "XAA")
                assert nobody == {"XAA": Outcome.NO_MATCH}
            kept = {p.name for p in (victim.root / "data/segments/shards").glob("*")}
            assert kept <= {f"{shards}-8"}
    finally:
        victim.end()
