"""What keeps an exchange from starting is told by the check before, and alike."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
import socket
import sqlite3
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World, calibration, record, unit

from biometrics.clock import SystemClock
from biometrics.custody import create_key_file
from biometrics.errors import ConfigurationError
from biometrics.server.blueprint import write_exchange
from biometrics.server.check import check
from biometrics.server.config import read_config
from biometrics.server.development import write_agreement
from biometrics.server.exchange import Exchange
from biometrics.server.tls import read_trust

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The settings file of a new exchange."""
    return write_exchange(
        tmp_path / "exchange",
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
        listen="127.0.0.1:0",
    )


async def start_and_stop(config: Path) -> None:
    """Start an exchange and stop it."""
    exchange = await Exchange.start(read_config(config), clock=SystemClock())
    await exchange.stop()


def refused(config: Path) -> str:
    """Return the reason for which both the check and the start refuse."""
    with pytest.raises(ConfigurationError) as checked:
        check(config)
    with pytest.raises(ConfigurationError) as started:
        asyncio.run(start_and_stop(config))
    assert checked.value.reason == started.value.reason
    return started.value.reason


def test_a_new_exchange_is_in_order_and_starts(config: Path) -> None:
    """What `init` writes needs no change, before and after the first start."""
    assert check(config) == []
    asyncio.run(start_and_stop(config))
    assert check(config) == []


def newer(root: Path) -> None:
    """Write the database of a later version."""
    asyncio.run(start_and_stop(root / "exchange.toml"))
    with sqlite3.connect(root / "data" / "exchange.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()


def foreign(root: Path) -> None:
    """Write another program's database."""
    with sqlite3.connect(root / "data" / "exchange.sqlite") as database:
        database.execute("CREATE TABLE recipe (name)")
    database.close()


def another_key(root: Path) -> None:
    """Put another key in the place of the exchange's, once it was used."""
    asyncio.run(start_and_stop(root / "exchange.toml"))
    (root / "keys/exchange.key").unlink()
    create_key_file(root / "keys/exchange.key", secrets.token_bytes)


BREAKAGES: dict[str, Callable[[Path], object]] = {
    "UNKNOWN_KEY": lambda root: append(root / "exchange.toml", "\nmagic = 1\n"),
    "UNKNOWN_KEY ": lambda root: append(root / "spaces.toml", "\nmagic = 1\n"),
    "UNKNOWN_KEY  ": lambda root: append(root / "signers.toml", "\nmagic = 1\n"),
    "INVALID_TOML": lambda root: append(root / "spaces.toml", "\n= 1\n"),
    "MISSING_FILE": lambda root: (root / "signers.toml").unlink(),
    "WRONG_TLS_PAIR": lambda root: copy(
        root / "pki/XAA-client.key", root / "pki/server.key"
    ),
    "NOT_A_CERTIFICATE": lambda root: (root / "pki/authority.pem").write_text("no"),
    "NOT_A_DATABASE": lambda root: (root / "data/exchange.sqlite").write_text("x" * 99),
    "FOREIGN_DATABASE": foreign,
    "NEWER_SCHEMA": newer,
    "KEY_FILE_EXPOSED": lambda root: (root / "keys/exchange.key").chmod(0o644),
    "WRONG_EXCHANGE_KEY": another_key,
    "NOT_A_KEY_FILE": lambda root: (root / "keys/exchange.key").write_text("no"),
}


def append(path: Path, text: str) -> None:
    """Add text to a file."""
    path.write_text(path.read_text() + text)


def copy(source: Path, target: Path) -> None:
    """Put one file in the place of another."""
    target.write_bytes(source.read_bytes())


@pytest.mark.parametrize("reason", BREAKAGES)
def test_the_check_finds_what_the_start_would_refuse(config: Path, reason: str) -> None:
    """`serve --check` and `serve` refuse alike, each with its own reason."""
    BREAKAGES[reason](config.parent)
    assert refused(config) == reason.strip()


def test_a_certificate_out_of_date_is_refused(config: Path) -> None:
    """A server does not show a certificate that every client would refuse."""
    in_ten_years = SystemClock().now() + dt.timedelta(days=3653)
    with pytest.raises(ConfigurationError) as caught:
        read_trust(read_config(config), in_ten_years)
    assert caught.value.reason == "CERTIFICATE_NOT_VALID"


def test_a_port_in_use_is_refused(config: Path) -> None:
    """A second server on one port is an error, and says which setting to change."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = config.read_text()
        config.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        with pytest.raises(ConfigurationError) as caught:
            asyncio.run(start_and_stop(config))
    assert caught.value.reason == "PORT_UNAVAILABLE"
    assert str(port) in caught.value.message


def test_a_failed_start_leaves_nothing_open(config: Path) -> None:
    """After a refused start the same process can start: no lock, no thread is left."""
    (config.parent / "spaces.toml").rename(config.parent / "away")
    with pytest.raises(ConfigurationError):
        asyncio.run(start_and_stop(config))
    (config.parent / "away").rename(config.parent / "spaces.toml")
    asyncio.run(start_and_stop(config))


def test_a_members_missing_key_is_a_warning(config: Path) -> None:
    """An exchange starts without a member's key; the check says whose is missing."""
    (config.parent / "keys" / "XCC.key").unlink()
    (note,) = check(config)
    assert "XCC" in note
    asyncio.run(start_and_stop(config))


def test_a_clause_about_no_member_is_a_warning(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistyped prohibition is told by the check and by every start, with its line."""
    path = config.parent / "agreements/XRA.toml"
    clause = '\n[[forbid]]\nrequester = "XZY"\nreason = "test"\n'
    write_agreement(config.parent, path.read_text() + clause)
    (note,) = check(config)
    assert note.startswith("`XRA.toml:")
    assert "XZY" in note
    asyncio.run(start_and_stop(config))
    assert note in caplog.text


def test_an_agreement_that_is_not_in_order_is_a_warning(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Check and start tell it alike, each time; what was in force stays so."""
    asyncio.run(start_and_stop(config))
    path = config.parent / "agreements/XRA.toml"
    append(path, "# edited\n")
    (config.parent / "agreements/XZZ.toml").write_text("")
    foreign_file, refusal = check(config)
    assert foreign_file.startswith("`XZZ.toml` is no agreement of a member")
    assert refusal.startswith("agreement of XRA: refused as CHANGED_SINCE_SIGNED: ")
    assert refusal.endswith("; revision 1 stays in force")
    caplog.clear()
    asyncio.run(start_and_stop(config))
    assert refusal in caplog.text
    assert foreign_file in caplog.text
    (config.parent / "data/exchange.sqlite").unlink()
    assert check(config)[1].endswith("; XRA permits nothing")


def test_two_exchanges_do_not_share_a_port(config: Path, tmp_path: Path) -> None:
    """The second is refused: callers would reach either of them by chance."""

    async def both() -> None:
        first = await Exchange.start(read_config(config), clock=SystemClock())
        try:
            other = write_exchange(
                tmp_path / "other",
                clock=SystemClock(),
                random_bytes=secrets.token_bytes,
                listen=f"127.0.0.1:{first.port}",
            )
            await start_and_stop(other)
        finally:
            await first.stop()

    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(both())
    assert caught.value.reason == "PORT_UNAVAILABLE"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("tiny-face", "other"), "no template space"),
        (
            lambda text: text.replace('extractor = "tiny"', 'extractor = "new"'),
            "does not open",
        ),
        (lambda text: text.replace("dimension = 128", "dimension = 64"), "not open"),
    ],
)
def test_the_check_knows_which_galleries_a_start_would_not_search(
    tmp_path: Path, change: Callable[[str], str], words: str
) -> None:
    """A space that was taken away or defined anew is a warning that names it."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        path = world.root / "exchange.toml"
        assert check(path) == []  # also while it is served
        world.stop()
        spaces = world.root / "spaces.toml"
        spaces.write_text(change(spaces.read_text()))
        other = world.root / "calibrations" / "other.toml"
        other.write_text(calibration("other", 0.5))
        (note,) = check(path)
        assert note.startswith("gallery of XAA in `tiny-face` would be UNAVAILABLE")
        assert words in note
        world.start()
        assert [g.state for g in world.enroller("XAA").galleries()] == ["damaged"]


def test_the_check_knows_whose_key_does_not_fit(tmp_path: Path) -> None:
    """A member's key that was replaced is a warning, and locks that member alone."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        world.stop()
        key = world.root / "keys/XAA.key"
        key.unlink()
        create_key_file(key, secrets.token_bytes)
        (note,) = check(world.root / "exchange.toml")
        assert note.startswith("galleries of XAA would stay locked")
        world.start()
