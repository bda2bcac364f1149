"""Few connections at a time, and none for long."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from biometrics import limits
from biometrics.console.gate import Gate, listening
from biometrics.console.settings import read_settings
from biometrics.console.tls import read_shown
from biometrics.errors import ConfigurationError
from tests.console.console_world import ConsoleProcess, ConsoleWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = 1000
FEW = 3


class Counting(asyncio.Protocol):
    """Answers nothing, and counts how many there are."""

    open = 0
    most = 0

    def connection_made(self, _: asyncio.BaseTransport) -> None:
        """Count one more."""
        Counting.open += 1
        Counting.most = max(Counting.most, Counting.open)

    def connection_lost(self, _: Exception | None) -> None:
        """Count one less."""
        Counting.open -= 1


@pytest.fixture(scope="module")
def console(world: ConsoleWorld) -> Iterator[ConsoleProcess]:
    """A console of its own, which may be worn out."""
    with ConsoleProcess(world.root / "console.toml") as made:
        yield made


@pytest.fixture
def worn(world: ConsoleWorld, console: ConsoleProcess) -> Iterator[ConsoleProcess]:
    """It, and asked in place of the other."""
    before, world.port = world.port, console.port
    yield console
    world.port = before


def test_whoever_stays_is_cut_off_and_makes_room(
    world: ConsoleWorld, monkeypatch: pytest.MonkeyPatch
):
    """Whether they send nothing, half a request, or do not even shake hands."""
    monkeypatch.setattr(limits, "CONSOLE_CONNECTIONS", FEW)
    monkeypatch.setattr(limits, "CONSOLE_CONNECTION_SECONDS", 0.3)
    monkeypatch.setattr(limits, "CONSOLE_HANDSHAKE_SECONDS", 0.3)
    shown = read_shown(read_settings(world.root / "console.toml"))

    async def stay(port: int, *, shakes_hands: bool) -> bytes:
        context = world.context("XAA-auditor") if shakes_hands else None
        name = "localhost" if shakes_hands else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=name
        )
        writer.write(b"GET / HTTP/1.1\r\n")
        try:
            return await reader.read()
        except (ConnectionError, ssl.SSLError):
            return b""
        finally:
            writer.transport.abort()

    async def attempt() -> float:
        with contextlib.closing(listening("127.0.0.1:0")) as listener:
            gate = Gate(Counting, lambda: shown.context)
            serving = asyncio.create_task(gate.serve(listener))
            port = listener.getsockname()[1]
            begun = time.monotonic()
            told = await asyncio.gather(
                *(stay(port, shakes_hands=bool(n % 3)) for n in range(4 * FEW))
            )
            took = time.monotonic() - begun
            assert set(told) == {b""}
            serving.cancel()
            await gate.stop()
        return took

    assert asyncio.run(attempt()) < 10
    assert 1 <= Counting.most <= FEW
    assert Counting.open == 0


def test_a_thousand_connections_are_bounded(world: ConsoleWorld, worn: ConsoleProcess):
    """They take a few files of the console's; once they go, others are served."""
    files = Path(f"/proc/{worn.process.pid}/fd")
    before = len(list(files.iterdir()))
    with contextlib.ExitStack() as opened:
        for _ in range(MANY):
            made = opened.enter_context(socket.socket())
            made.setblocking(False)  # noqa: FBT003 - named so by socket
            made.connect_ex(("127.0.0.1", world.port))
        time.sleep(0.5)
        assert len(list(files.iterdir())) <= before + limits.CONSOLE_CONNECTIONS
    end = time.monotonic() + 15
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if world.ask("XAA-auditor").status == 200:
                return
    pytest.fail("nobody is served any more")


def test_a_port_that_is_taken_is_told():
    """With the address that the settings name."""
    with contextlib.closing(listening("127.0.0.1:0")) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=address):
            listening(address)


def test_settings_are_read_strictly_and_every_fault_is_told(tmp_path: Path):
    """Files that are missing, a path that no socket has, a key open to everybody."""
    config = tmp_path / "console.toml"
    (tmp_path / "own.key").write_text("x")
    (tmp_path / "own.key").chmod(0o644)
    config.write_text(
        'version = 1\nlisten = "127.0.0.1:0"\ncertificate = "none.pem"\n'
        f'key = "own.key"\nauthority = "none.pem"\nsocket = "{"s" * 200}"\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        read_settings(config)
    reasons = [fault.reason for fault in caught.value.faults]
    assert reasons == ["MISSING_FILE", "MISSING_FILE", "OPEN_KEY", "LONG_SOCKET"]
    config.write_text(f'{config.read_text()}more = "1"\n')
    with pytest.raises(ConfigurationError, match="more"):
        read_settings(config)


@pytest.mark.usefixtures("worn")
def test_certificates_are_followed_while_it_serves(world: ConsoleWorld):
    """A new one is shown to the next who connects, half of a new pair never."""
    own = [world.root / "pki/server.pem", world.root / "pki/server.key"]
    before = [path.read_bytes() for path in own]
    first = certificate(world)
    own[0].write_bytes(b"nonsense")
    time.sleep(1.5 * limits.CERTIFICATES_LOOK_SECONDS)
    assert certificate(world) == first
    for path, data in zip(own, before, strict=True):
        path.write_bytes(data)
    fresh = world.pki()._authority().issue_server()
    own[1].write_bytes(fresh.key)
    own[0].write_bytes(fresh.certificate)
    end = time.monotonic() + 10
    while certificate(world) == first and time.monotonic() < end:
        time.sleep(0.2)
    assert certificate(world) == ssl.PEM_cert_to_DER_cert(fresh.certificate.decode())


def certificate(world: ConsoleWorld) -> bytes:
    """Return what the console shows of itself, DER."""
    address = ("127.0.0.1", world.port)
    with (
        socket.create_connection(address, timeout=10) as plain,
        world.context("XAA-auditor").wrap_socket(
            plain, server_hostname="localhost"
        ) as made,
    ):
        return made.getpeercert(binary_form=True) or b""
