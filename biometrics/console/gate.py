"""Takes connections, few at a time, and none for long.

aiohttp takes as many as come, and waits as long as one likes to write its request. So
sockets are accepted here: one more only when another has gone, and each is cut off
after `limits.CONSOLE_CONNECTION_SECONDS`, whatever it is doing. Browsers connect anew.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_PAUSE_SECONDS: Final = 0.1  # where the system has no file to spare


def listening(address: str) -> socket.socket:
    """Return a socket that listens at `host:port`.

    Raises:
        ConfigurationError: it cannot.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        made = socket.create_server(
            (host.strip("[]"), int(port)),
            family=family,
            backlog=limits.CONSOLE_BACKLOG,
        )
    except OSError as error:
        raise ConfigurationError(
            "PORT_UNAVAILABLE",
            f"cannot listen on `{address}`: the port is in use, or the address is not"
            " this machine's",
        ) from error
    made.settimeout(0)
    return made


class Gate:
    """Lets connections in to the protocol that answers them."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.Protocol],
        context: Callable[[], ssl.SSLContext],
    ) -> None:
        """Let in to a new `protocol` each, with the TLS of the moment."""
        self._protocol = protocol
        self._context = context
        self._room = asyncio.Semaphore(limits.CONSOLE_CONNECTIONS)
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Let in whoever connects, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._room.acquire()
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                self._room.release()
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            except BaseException:
                self._room.release()
                raise
            task = asyncio.create_task(self._serve(connection))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def stop(self) -> None:
        """Cut off every connection."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, connection: socket.socket) -> None:
        """Have one connection, until it ends or has lasted for long enough."""
        transport: asyncio.BaseTransport | None = None
        watched = _Watched(self._protocol())
        try:
            async with asyncio.timeout(limits.CONSOLE_CONNECTION_SECONDS):
                loop = asyncio.get_running_loop()
                transport, _ = await loop.connect_accepted_socket(
                    lambda: watched,
                    connection,
                    ssl=self._context(),
                    ssl_handshake_timeout=limits.CONSOLE_HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=limits.CONSOLE_HANDSHAKE_SECONDS,
                )
                await watched.ended.wait()
        except (OSError, TimeoutError):  # of which `ssl.SSLError` is one
            pass
        finally:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
            self._room.release()


class _Watched(asyncio.Protocol):
    """A protocol of which it is known when it ends."""

    def __init__(self, inner: asyncio.Protocol) -> None:
        """Hand everything to `inner`."""
        self._inner = inner
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.ended.set()
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Read that there is no more."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Write no more for now."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Write on."""
        self._inner.resume_writing()
