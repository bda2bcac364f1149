"""A client follows its certificate's files: it runs for longer than they do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from biometrics import limits
from biometrics.client import AsyncExchangeClient, ExchangeClient, Profile
from biometrics.client.lines import Lines
from biometrics.errors import ExchangeError
from tests.pocket import Authority, RunningExchange, member_name, write_profile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def successor():
    """An authority that signs the clients' certificates from now on."""
    return Authority("the next authority")


@pytest.fixture(scope="module")
def moved_on(authority: Authority, successor: Authority):
    """An exchange that accepts only clients of the next authority."""
    exchange = RunningExchange(authority, trusts=successor.certificate)
    yield exchange
    exchange.stop()


@pytest.fixture
def path(tmp_path: Path, authority: Authority, moved_on: RunningExchange):
    """A profile whose certificate is of the old authority."""
    return write_profile(tmp_path, authority, moved_on.port)


@pytest.fixture
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each call is looked."""
    monkeypatch.setattr(limits, "CERTIFICATE_LOOK_SECONDS", 0.0)


def renew(folder: Path, successor: Authority) -> None:
    """Put a new certificate and its key in the place of the old."""
    certificate, key = successor.issue([member_name()])
    (folder / "client.pem").write_bytes(certificate)
    (folder / "client.key").write_bytes(key)


@pytest.mark.usefixtures("_always")
def test_a_renewed_certificate_is_used(
    path: Path, tmp_path: Path, successor: Authority
):
    """The client that was refused is let in, without a new one."""
    with ExchangeClient(Profile.load(path)) as client:
        with pytest.raises(ExchangeError, match="does not accept the client"):
            client.spaces()
        renew(tmp_path, successor)
        client.spaces()


@pytest.mark.usefixtures("_always")
def test_the_asynchronous_client_follows_too(
    path: Path, tmp_path: Path, successor: Authority
):
    """As the synchronous one."""

    async def body() -> None:
        async with AsyncExchangeClient(Profile.load(path)) as client:
            with pytest.raises(ExchangeError, match="does not accept the client"):
                await client.spaces()
            renew(tmp_path, successor)
            await client.spaces()

    asyncio.run(body())


@pytest.mark.usefixtures("_always")
@pytest.mark.parametrize("broken", ["half", "gone", "cut", "bundle"])
def test_until_the_new_one_is_whole_the_old_one_serves(
    tmp_path: Path, authority: Authority, running: RunningExchange, broken: str
):
    """One without its key yet, or a file that is away, or is not written whole."""
    profile = Profile.load(write_profile(tmp_path, authority, running.port))
    with ExchangeClient(profile) as client:
        client.spaces()
        certificate, key = authority.issue([member_name()])
        if broken == "half":
            (tmp_path / "client.pem").write_bytes(certificate)
        elif broken == "gone":
            (tmp_path / "client.key").unlink()
        else:
            changed = tmp_path / "client.pem" if broken == "cut" else profile.authority
            whole = changed.read_bytes()
            changed.write_bytes(whole + whole[: len(whole) // 2])
        line = client._asker.line
        client.spaces()
        assert client._asker.line is line
        if broken == "bundle":
            profile.authority.write_bytes(whole + whole)
        (tmp_path / "client.pem").write_bytes(certificate)
        (tmp_path / "client.key").write_bytes(key)
        client.spaces()
        assert client._asker.line is not line


def test_an_old_line_is_closed_when_no_call_can_be_on_it(
    path: Path, tmp_path: Path, successor: Authority
):
    """It was looked seldom, and what was replaced is kept for the longest call."""
    now = 0.0
    lines = Lines(Profile.load(path), lambda _: object(), seconds=lambda: now)
    first = lines.current()
    renew(tmp_path, successor)
    now = limits.CERTIFICATE_LOOK_SECONDS - 1
    assert lines.current() is first
    now = limits.CERTIFICATE_LOOK_SECONDS
    second = lines.current()
    assert second is not first
    now += limits.MAX_DEADLINE_SECONDS
    assert lines.take_idle() == []
    now += 1
    assert lines.take_idle() == [first]
    assert lines.take_idle() == []
    assert lines.take_all() == [second]


def test_closing_closes_the_old_lines_too(
    path: Path, tmp_path: Path, successor: Authority
):
    """Nothing is left open."""
    now = 0.0
    lines = Lines(Profile.load(path), lambda _: object(), seconds=lambda: now)
    first = lines.current()
    renew(tmp_path, successor)
    now = limits.CERTIFICATE_LOOK_SECONDS
    second = lines.current()
    assert lines.take_all() == [first, second]
