"""What all tests share."""

import signal
from collections.abc import Iterator

import pytest
from postgres_server import PostgresServer, missing


@pytest.fixture(scope="session", autouse=True)
def signals_of_a_terminal() -> Iterator[None]:
    """Servers that tests start ignore no signal because the tests' shell does.

    It ignores SIGHUP under `nohup`, and SIGINT in the background. A handler, unlike
    that, is not inherited; this one does for the tests themselves what ignoring did.
    """
    ignored = [
        number
        for number in (signal.SIGHUP, signal.SIGINT)
        if signal.getsignal(number) is signal.SIG_IGN
    ]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Return a server of PostgreSQL, where it is installed."""
    if why := missing():
        pytest.skip(why)
    server = PostgresServer()
    yield server
    server.remove()
