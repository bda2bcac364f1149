"""The composition root: what there is, in the order in which it starts.

Each group of parts is made by one function, of those before it; nothing is looked up by
name. What has to be closed or stopped is pushed on one stack as it starts, which
`Exchange.stop` goes down: whatever started last stops first.

| group | what is in it |
|---|---|
| `ground` | decisions of operator and members, what is seen, the store, the keys |
| `matching` | the galleries in memory, and what searches them |
| `holding` | enrolment, custody, follow-ups |
| `edge` | services, guards and doors |
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from biometrics import limits
from biometrics.server.chores import (
    keep_disposing,
    keep_ending_epochs,
    keep_ending_follow_ups,
    keep_erasing,
    keep_looking,
    keep_probing,
    keep_trusting,
)
from biometrics.server.edge import make_edge
from biometrics.server.ground import lay
from biometrics.server.holding import make_holding
from biometrics.server.matching import make_matching

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from biometrics.clock import Clock
    from biometrics.server.config import Config
    from biometrics.server.doors import Door
    from biometrics.server.health import Health
    from biometrics.server.membership import SettingsInForce
    from biometrics.server.tls import Trusted
    from biometrics.store import Store
    from matcher.follower import Follower
    from matcher.shares import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A running exchange.

    Attributes:
        port: where it listens.
        admin_port: where it serves administrators; the same where that is not apart.
        store: its database; open until it is stopped.
        trusted: its certificates, and whose it believes.
        verifier: the key that what it states is to be checked by.
        settings: what of its settings is taken up while it runs.
        shards: how it is about each shard; there may be none.
    """

    port: int
    admin_port: int
    store: Store
    trusted: Trusted
    verifier: str
    settings: SettingsInForce
    shards: Callable[[], Sequence[Standing]]
    _health: Health
    _doors: tuple[Door, ...]
    _follower: Follower
    _parts: AsyncExitStack

    @classmethod
    async def start(
        cls,
        config: Config,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> Self:
        """Start everything; on return searches of loaded galleries are answered.

        Raises:
            ConfigurationError: a file or setting is wrong, or the port is taken.
        """
        async with AsyncExitStack() as parts:
            # Make: traces, then the store, then the threads of the matcher are open.
            ground = lay(config, clock=clock, random_bytes=random_bytes, parts=parts)
            matching = make_matching(ground, parts)
            holding = make_holding(ground, matching)
            doors = make_edge(ground, matching, holding)
            # Start: figures, then the index, then what is unfinished, then the doors,
            # then what is done time and again.
            if config.metrics_listen is not None:
                parts.callback(ground.metrics.serve(config.metrics_listen))
            await matching.start(ground, parts)
            parts.push_async_callback(holding.tending.stop)
            holding.tending.begin(*ground.roll)
            being_abreast = ground.abreast.keep(
                holding.custodian.obey, lambda: holding.tending.is_settled
            )
            parts.push_async_callback(
                ground.abreast.leave, asyncio.create_task(being_abreast)
            )
            for door in doors:
                await door.server.start()
            for keeping in (
                keep_erasing(ground.store),
                keep_disposing(holding.disposal),
                keep_ending_epochs(holding.custodian, ground.roll),
                keep_ending_follow_ups(ground.store),
                keep_probing(matching.probes),
                keep_looking(ground.settings, limits.AGREEMENTS_LOOK_SECONDS),
                keep_trusting(ground.trusted, ground.health),
            ):
                parts.callback(asyncio.create_task(keeping).cancel)
            ground.health.set_all(serving=True)
            return cls(
                port=doors[0].port,
                admin_port=doors[config.admin_listen is not None].port,
                store=ground.store,
                trusted=ground.trusted,
                verifier=holding.key.verifier.text,
                settings=ground.settings,
                shards=matching.site.shards,
                _health=ground.health,
                _doors=doors,
                _follower=matching.follower,
                _parts=parts.pop_all(),
            )

    async def stop(self) -> None:
        """Drain: take no new call, finish those that run, then close every part."""
        self._health.drain()
        await asyncio.gather(
            *(door.server.stop(limits.DRAIN_SECONDS) for door in self._doors)
        )
        await self._parts.aclose()
