"""An exchange in the process, for the tests of a member's own system.

    with ExchangeInProcess() as exchange:
        exchange.client("XRA", "enroller").enrol(record)
        answer = exchange.client("XAA").match(probe, purpose="asylum-and-protection")

It is the real one: files as `biometrics init` writes them, database, keys, mutual TLS
and search, on a free port of loopback. Only clock and randomness can be handed in. It
starts in about a second, and everything of it goes with its folder.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from biometrics.client import ExchangeClient, Profile
from biometrics.clock import SystemClock
from biometrics.errors import ConfigurationError
from biometrics.server.blueprint import write_exchange
from biometrics.server.config import read_config
from biometrics.server.development import write_agreement
from biometrics.server.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from biometrics.clock import Clock

_SECONDS: Final = 60.0  # for a start or a stop
_ANYWHERE: Final = "127.0.0.1:0"


class ExchangeInProcess:
    """An exchange and its members; a context manager that serves it.

    Attributes:
        root: folder of its files.
        clock: the exchange's time.
        exchange: what is running, or None.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        spaces: Mapping[str, str] | None = None,
        agreements: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        slot_ms: int = 1,
    ) -> None:
        """Write the files of an exchange; with no more arguments, the samples'.

        Args:
            root: a folder; the exchange is in `exchange` within it. By default a
                temporary one, which is deleted at the end.
            spaces: text by path, in place of the samples: `spaces.toml`, and for each
                space `calibrations/SPACE.toml`.
            agreements: text by holder; each is signed with keys of this exchange. A
                holder that is not named permits nothing.
            clock: the exchange's time; by default the system's.
            random_bytes: the exchange's randomness, beside keys and certificates.
            slot_ms: when answers leave; the least, so that tests do not wait.

        Raises:
            ConfigurationError: there is an exchange already, or an agreement is none.
        """
        self._temporary = None
        if root is None:
            self._temporary = tempfile.TemporaryDirectory()
            root = Path(self._temporary.name)
        self.root = root / "exchange"
        self.clock = clock or SystemClock()
        self._random_bytes = random_bytes
        write_exchange(
            self.root,
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
            listen=_ANYWHERE,
        )
        self._write(slot_ms, spaces, agreements)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.exchange: Exchange | None = None
        self._clients: dict[tuple[str, str], ExchangeClient] = {}

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        try:
            self.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        try:
            self.stop()
        finally:
            self._end()  # or the thread would keep the process from ending

    def start(self) -> None:
        """Serve.

        Raises:
            ExchangeError: the files were edited, and are not in order.
        """
        config = read_config(self.root / "exchange.toml")
        starting = Exchange.start(
            config, clock=self.clock, random_bytes=self._random_bytes
        )
        self.exchange = asyncio.run_coroutine_threadsafe(starting, self._loop).result(
            _SECONDS
        )

    def stop(self) -> None:
        """Stop serving; what is on disk stays."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if self.exchange is not None:
            stopping = self.exchange.stop()
            asyncio.run_coroutine_threadsafe(stopping, self._loop).result(_SECONDS)
            self.exchange = None

    def restart(self) -> None:
        """Stop and serve again, at another port."""
        self.stop()
        self.start()

    @property
    def target(self) -> str:
        """Where the exchange listens, such as `127.0.0.1:40123`.

        Raises:
            RuntimeError: it does not.
        """
        if self.exchange is None:
            raise RuntimeError(
                "the exchange is not running; enter it with `with` first"
            )
        return f"127.0.0.1:{self.exchange.port}"

    def profile_file(self, member: str, role: str = "client") -> Path:
        """Write the profile of one of a member's systems, for where it listens now.

        Raises:
            ConfigurationError: there is none.
        """
        path = self.root / "clients" / f"{member}-{role}.toml"
        if not path.exists():
            there = sorted(each.stem for each in path.parent.glob("X??-*[a-z].toml"))
            raise ConfigurationError(
                "NO_SUCH_PROFILE",
                f"there is no `{member}-{role}` in this exchange, but"
                f" {', '.join(there)}",
            )
        text = path.read_text().replace(_ANYWHERE, self.target)
        own = path.with_name(f"{member}-{role}.{self.target.rpartition(':')[2]}.toml")
        draft = own.with_name(f"{own.name}.{threading.get_ident()}")
        draft.write_text(text)
        draft.rename(own)  # whole, for whoever else reads it
        return own

    def profile(self, member: str, role: str = "client") -> Profile:
        """Return the profile of one of a member's systems.

        Args:
            member: code, such as `XAA`.
            role: `client`, `enroller`, `administrator`, `auditor` or `officer`.

        Raises:
            ConfigurationError: there is none.
        """
        return Profile.load(self.profile_file(member, role))

    def client(self, member: str, role: str = "client") -> ExchangeClient:
        """Return a connected system of a member's, closed when the exchange stops.

        Raises:
            ConfigurationError: there is none.
        """
        if (member, role) not in self._clients:
            self._clients[member, role] = ExchangeClient(self.profile(member, role))
        return self._clients[member, role]

    def _write(
        self,
        slot_ms: int,
        spaces: Mapping[str, str] | None,
        agreements: Mapping[str, str] | None,
    ) -> None:
        """Put what was handed in in the place of the samples."""
        settings = self.root / "exchange.toml"
        text = settings.read_text()
        settings.write_text(re.sub(r"(?m)^slot_ms = .*$", f"slot_ms = {slot_ms}", text))
        if spaces is not None:
            _empty(self.root / "calibrations")
            for name, text in spaces.items():
                (self.root / name).write_text(text)
        if agreements is not None:
            _empty(self.root / "agreements")
            for text in agreements.values():
                write_agreement(self.root, text)

    def _end(self) -> None:
        """End the thread, and delete the files if they were temporary."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._temporary is not None:
            self._temporary.cleanup()


def _empty(folder: Path) -> None:
    """Delete the files in a folder."""
    for path in folder.iterdir():
        path.unlink()
