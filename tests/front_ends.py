"""Two front ends of one exchange in this process, each with its own memory."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from world import AGREEMENTS, World, agreement, face, permit, unit

from biometrics.client import ExchangeClient
from biometrics.custody import read_key_file
from biometrics.members import Member

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from biometrics.custody import Vault
    from matcher.index import Index

XAA = Member("XAA")
PATIENCE_SECONDS = 30
NEAR_HIT = 0.53
LIMITED = permit("XDD", "holder").replace("level =", "quota_per_day = 3\nlevel =")
OWN = AGREEMENTS | {
    "XAA": agreement(
        "XAA", permit("XCC", "reference"), permit("XBB", "holder"), LIMITED
    )
}
MATCH, NO_MATCH, UNAVAILABLE = "match", "no-match", "unavailable"


class Pair:
    """Two of them: the second has a copy of the first one's files."""

    def __init__(self, folder: Path, url: str, **texts: str) -> None:
        """Write their files.

        Args:
            folder: an empty one.
            url: of an empty database.
            texts: what stands in the settings, and what is to stand there.
        """
        places = folder / "one", folder / "other"
        for place in places:
            place.mkdir()
        self.one, self.other = (World(p, agreements=OWN) for p in places)
        settings = self.one.root / "exchange.toml"
        text = settings.read_text().replace(
            '"data/exchange.sqlite"', f'"{url}"\nshared = true'
        )
        for before, after in texts.items():
            assert before in text
            text = text.replace(before, after)
        settings.write_text(text)
        self.key = read_key_file(self.one.root / "keys/XAA.key")
        shutil.rmtree(self.other.root)
        shutil.copytree(self.one.root, self.other.root)

    def both(self) -> tuple[World, World]:
        """Return them."""
        return self.one, self.other


def told(
    world: World,
    probe: NDArray,
    *,
    who: str = "XCC",
    holder: str = "XAA",
    request_id: uuid.UUID | None = None,
) -> str:
    """Return what a front end tells a requester of a probe."""
    found = world.client(who).match(
        face(probe), purpose="border-check", holders=[holder], request_id=request_id
    )
    return found.holders[0].outcome.value


def is_found(world: World, person: int) -> bool:
    """Say whether a front end finds somebody."""
    return told(world, unit(person)) == MATCH


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def certified(world: World) -> None:
    """Wait until what was begun with XAA's keys is done, and signed for."""
    client = world.administrator()
    until(lambda: not client.custody().is_busy)
    *_, last = client.erasures()
    assert last.certificate


def index_of(world: World) -> Index:
    """Return the galleries of a front end."""
    assert world.exchange is not None
    found: Index = world.exchange._follower._index  # type: ignore[assignment]
    return found


def vault(world: World) -> Vault:
    """Return where a front end has keys."""
    found: Vault = index_of(world)._vault  # type: ignore[assignment]
    return found


def keys_at(world: World) -> set[int]:
    """Return the numbers of XAA's gallery keys at a front end."""
    keys = vault(world)._rings[XAA]._keys
    return set() if keys is None else set(keys.by_id)


def unlock(world: World, key: bytes) -> None:
    """Hand XAA's key over to a front end."""
    assert world.exchange is not None
    profile = world.profile("XAA", "administrator")
    profile = replace(profile, verifier=world.exchange.verifier)
    with ExchangeClient(profile) as administrator:
        administrator.unlock(key=key)
