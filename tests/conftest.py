"""What all tests share."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from postgres_server import PostgresServer, missing
from softhsm import SoftToken

# How long an example takes is the machine's, and others use it too.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


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
def soft_token(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    """Return a PKCS#11 token in software, with the keys XAA, XAB, small and soft."""
    token = SoftToken(tmp_path_factory.mktemp("softhsm"))
    for label in ("XAA", "XAB"):
        token.make(label)
    token.make("small", bits=128)
    token.make("soft", is_extractable=True)
    return token


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Return a server of PostgreSQL, where it is installed."""
    if why := missing():
        pytest.skip(why)
    server = PostgresServer()
    yield server
    server.remove()
