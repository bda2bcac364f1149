"""An exchange of the samples, its console, and what a browser would send to that."""

from __future__ import annotations

import secrets
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from biometrics.callers import Caller, Role
from biometrics.client import Record, Template
from biometrics.clock import SystemClock
from biometrics.members import Member
from biometrics.server.development_pki import DevelopmentPki
from biometrics.testing import ExchangeInProcess

if TYPE_CHECKING:
    from pathlib import Path

SPACE = "face-synthetic-512"
RECORDS = 6
SEARCHES = 12
NAME = "pilot <i>&amp;</i>"


@dataclass(frozen=True)
class Answer:
    """What the console answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The page."""
        return self.body.decode()


class ConsoleProcess:
    """`biometrics console` in a process of its own; a context manager."""

    def __init__(self, config: Path) -> None:
        """Start it, and wait until it says where it is."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "biometrics.cli", "console", "--config", config],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        assert "console on https://127.0.0.1:" in said, said
        self.port = int(said.strip().rstrip("/").rpartition(":")[2])

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it as an operator would."""
        self.process.terminate()
        try:
            _, self.said = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise


class ConsoleWorld(ExchangeInProcess):
    """A running exchange with a socket for its console."""

    def __init__(self, root: Path) -> None:
        """Write its files."""
        super().__init__(root)
        self.rewrite("exchange.toml", "# [console]\n# socket", "[console]\nsocket")
        self.rewrite("exchange.toml", 'name = "pilot"', f'name = "{NAME}"')
        self.rewrite("console.toml", "127.0.0.1:7445", "127.0.0.1:0")
        self.socket = self.root / "console/socket"
        self.port = 0

    def rewrite(self, name: str, before: str, after: str) -> None:
        """Edit one of its files."""
        path = self.root / name
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))

    def pki(self) -> DevelopmentPki:
        """Return its authority."""
        return DevelopmentPki.of(
            self.root / "exchange.toml",
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
        )[0]

    def issue(self, member: str, role: Role, name: str | None = None) -> str:
        """Sign a certificate; return what its files are called."""
        named = name or f"{role}-1"
        caller = Caller(member=Member(member), role=role, name=named)
        self.pki().issue(caller, self.target)
        return f"{member}-{role}" if name is None else f"{member}-{role}-{name}"

    def fill(self) -> None:
        """Enrol a few people, search for one, and close one member's galleries."""
        vectors = np.random.default_rng(1).standard_normal((RECORDS, 512))
        faces = [Template(space=SPACE, position="face", vector=v) for v in vectors]
        for holder in ("XRA", "XBB", "XCC"):
            for number, face in enumerate(faces):
                self.client(holder, "enroller").enrol(
                    Record(reference=f"secret-{holder}-{number}", templates=(face,))
                )
        self.search(SEARCHES)
        self.client("XBB", "administrator").lock()

    def search(self, times: int) -> None:
        """Search as XAA: each is a leaf of the log."""
        vector = np.random.default_rng(2).standard_normal(512)
        face = Template(space=SPACE, position="face", vector=vector)
        for _ in range(times):
            self.client("XAA").match(face, purpose="border-check")

    def context(self, who: str | None) -> ssl.SSLContext:
        """Return a browser's TLS, with the certificate of some system."""
        made = ssl.create_default_context(cafile=self.root / "pki/authority.pem")
        if who is not None:
            made.load_cert_chain(
                self.root / f"pki/{who}.pem", self.root / f"pki/{who}.key"
            )
        return made

    def raw(self, who: str | None, request: bytes) -> bytes:
        """Return all that the console answers to some bytes."""
        address = ("127.0.0.1", self.port)
        with (
            socket.create_connection(address, timeout=10) as plain,
            self.context(who).wrap_socket(plain, server_hostname="localhost") as made,
        ):
            made.sendall(request)
            found = b""
            while data := made.recv(65536):
                found += data
        return found

    def ask(
        self, who: str, path: str = "/", method: str = "GET", host: str | None = None
    ) -> Answer:
        """Ask as a browser does."""
        named = f"localhost:{self.port}" if host is None else host
        request = f"{method} {path} HTTP/1.1\r\nHost: {named}\r\nConnection: close\r\n"
        return parse(self.raw(who, f"{request}\r\n".encode()))


def parse(answer: bytes) -> Answer:
    """Return an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {}
    for line in lines:
        key, _, value = line.partition(": ")
        assert key.lower() not in headers
        headers[key.lower()] = value
    return Answer(int(status.split()[1]), headers, body)
