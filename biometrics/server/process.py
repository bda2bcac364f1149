"""The process that an exchange is: how it begins, what its signals do, how it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
from functools import partial
from typing import TYPE_CHECKING

import uvloop
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from biometrics import limits
from biometrics.clock import SystemClock
from biometrics.server.config import read_config
from biometrics.server.descriptors import allow_descriptors
from biometrics.server.exchange import Exchange

if TYPE_CHECKING:
    from pathlib import Path

    from biometrics.server.config import Config

log = logging.getLogger(__name__)


def has_terminal() -> bool:
    """Say whether a terminal controls this process, whose end would send SIGHUP."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def look_again(starting: asyncio.Task[Exchange]) -> None:
    """Have what is looked at each second told anew, once the exchange has started."""
    if starting.done():
        log.info("looks at its files; what waits for a restart is told again")
        starting.result().settings.remind()


def run(path: Path) -> None:
    """Serve the exchange at `path` until SIGTERM, SIGINT or its terminal's end.

    Raises:
        ConfigurationError: a file or setting is wrong, or the port is taken.
    """
    config = read_config(path)
    # A core dump would hold every key that is at hand.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    allow_descriptors(config.connections)
    # There is a scanning thread for each core: NumPy's own would only compete with it.
    threadpool_limits(limits=1, user_api="blas")
    uvloop.run(_serve(config))


async def _serve(config: Config) -> None:
    """Serve until told to stop, then drain."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    starting = asyncio.create_task(Exchange.start(config, clock=SystemClock()))
    # A terminal that closes sends SIGHUP. Without one, as under a service manager,
    # it asks to look again. What is ignored stays so: under `nohup` the exchange
    # outlives its terminal.
    hung_up = told.set if has_terminal() else partial(look_again, starting)
    for number, react in (
        (signal.SIGTERM, told.set),
        (signal.SIGINT, told.set),
        (signal.SIGHUP, hung_up),
    ):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, react)
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        log.info("stopped before it was ready")
        starting.cancel()
        await asyncio.wait((starting,))
        return
    exchange = starting.result()
    host, _, _ = config.listen.rpartition(":")
    # What there is now stays: the collector of cycles need not look through it again
    # after every few hundred objects, of which each record that is enrolled makes some.
    gc.freeze()
    gc.set_threshold(limits.OBJECTS_BETWEEN_COLLECTIONS)
    log.info("ready on %s:%d as %s", host, exchange.port, config.name)
    await stopping
    log.info("draining")
    await exchange.stop()
    log.info("stopped")
