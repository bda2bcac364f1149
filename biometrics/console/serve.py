"""The console's process: from its settings to a port that answers, and to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import TYPE_CHECKING

from aiohttp import web

from biometrics import limits
from biometrics.client.hatch import Hatch
from biometrics.clock import SystemClock
from biometrics.console.gate import Gate, listening
from biometrics.console.settings import read_settings
from biometrics.console.site import Site
from biometrics.console.tls import Shown, read_shown, stamp_of
from biometrics.errors import ConfigurationError
from biometrics.settings import socket_target

if TYPE_CHECKING:
    from pathlib import Path

    from biometrics.console.settings import ConsoleSettings

log = logging.getLogger(__name__)


def run(path: Path) -> None:
    """Serve the console at `path` until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: a file or setting is wrong, or the port is taken.
    """
    asyncio.run(_serve(read_settings(path)))


async def _serve(settings: ConsoleSettings) -> None:
    """Serve until told to stop."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with contextlib.AsyncExitStack() as parts:
        port_files = Files(settings)
        listener = parts.enter_context(contextlib.closing(listening(settings.listen)))
        hatch = await parts.enter_async_context(Hatch(socket_target(settings.socket)))
        site = Site(hatch, lambda: port_files.shown.names, SystemClock())
        runner = web.AppRunner(
            site.application(),
            access_log=None,
            keepalive_timeout=limits.CONSOLE_IDLE_SECONDS,
            lingering_time=0,  # nobody has a body to send
            max_line_size=limits.CONSOLE_HEADER_BYTES,
            max_field_size=limits.CONSOLE_HEADER_BYTES,
        )
        await runner.setup()
        parts.push_async_callback(runner.cleanup)
        if runner.server is None:
            raise AssertionError("a runner that is set up has a server")
        gate = Gate(runner.server, lambda: port_files.shown.context)
        parts.push_async_callback(gate.stop)
        for work in (gate.serve(listener), port_files.keep_looking()):
            parts.callback(asyncio.create_task(work).cancel)
        host, _, _ = settings.listen.rpartition(":")
        log.info("console on https://%s:%d/", host, listener.getsockname()[1])
        await told.wait()
    log.info("stopped")


class Files:
    """The certificate of the port, and whose it believes; followed as they change."""

    def __init__(self, settings: ConsoleSettings) -> None:
        """Read them.

        Raises:
            ConfigurationError: one cannot be used.
        """
        self._settings = settings
        self._stamp = stamp_of(settings)
        self._shown = read_shown(settings)

    @property
    def shown(self) -> Shown:
        """What counts for the next who connects."""
        return self._shown

    async def keep_looking(self) -> None:
        """Take up files that were replaced, once they fit together."""
        while True:
            await asyncio.sleep(limits.CERTIFICATES_LOOK_SECONDS)
            stamp = stamp_of(self._settings)
            if not stamp or stamp == self._stamp:
                continue
            try:
                self._shown = read_shown(self._settings)
            except ConfigurationError as error:
                log.warning("certificates not taken up yet: %s", error.message)
                continue
            self._stamp = stamp
            log.info("certificates taken up")
