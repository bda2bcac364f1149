"""A small world: a real exchange on loopback, with members who act in it.

Everything is real: files as `biometrics init` writes them, SQLite on disk, mutual
TLS, the client SDK. Only the clock and the randomness can be handed in.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import threading
from typing import TYPE_CHECKING, Self

import numpy as np

from biometrics.calibration import FpirClass
from biometrics.client import ExchangeClient, Profile, Record, Template
from biometrics.clock import SystemClock
from biometrics.server.blueprint import write_exchange
from biometrics.server.config import read_config
from biometrics.server.development import write_agreement
from biometrics.server.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from biometrics.clock import Clock

SPACE = "tiny-face"
# Wide enough that strangers stay below the threshold: 0.5 is 5.6 standard deviations.
DIMENSION = 128
THRESHOLD = 0.5
FINGER_THRESHOLD = 0.6

SPACES = f"""\
version = 1

[[space]]
name = "{SPACE}"
modality = "face"
extractor = "tiny"
extractor_version = "1"
positions = ["face"]
dimension = {DIMENSION}

[[space]]
name = "tiny-finger"
modality = "fingerprint"
extractor = "tiny"
extractor_version = "1"
positions = ["right-index", "left-index"]
dimension = {DIMENSION}
"""


def calibration(space: str, *cosines: float) -> str:
    """Return a calibration that was not measured: thresholds of 1e-2, 1e-3 and 1e-4."""
    rows = zip(FpirClass, cosines * 3, strict=False)
    return (
        f'version = 1\nspace = "{space}"\nbasis = "unmeasured"\ndated = 2026-01-01\n'
        'method = "chosen"\n'
        + "".join(f'[[threshold]]\nfpir = "{f}"\ncosine = {c}\n' for f, c in rows)
    )


CALIBRATIONS = {
    SPACE: calibration(SPACE, THRESHOLD),
    "tiny-finger": calibration("tiny-finger", FINGER_THRESHOLD),
}


def write_spaces(root: Path, calibrations: dict[str, str] | None = None) -> None:
    """Write the tiny spaces into an exchange in place of the samples."""
    (root / "spaces.toml").write_text(SPACES)
    for path in (root / "calibrations").iterdir():
        path.unlink()
    for space, text in (CALIBRATIONS | (calibrations or {})).items():
        (root / "calibrations" / f"{space}.toml").write_text(text)


def agreement(holder: str, *clauses: str, revision: int = 1) -> str:
    """Return the text of a holder's agreements file."""
    head = f'version = 1\nholder = "{holder}"\nrevision = {revision}\n'
    return "\n".join((f"{head}dated = 2000-01-01T00:00:00Z\n", *clauses))


def permit(requester: str, level: str, *purposes: str) -> str:
    """Return a clause that permits faces and fingers, always valid."""
    named = ", ".join(f'"{p}"' for p in purposes or ("border-check",))
    return (
        f'[[permit]]\nrequester = "{requester}"\nmodalities = ["face", "fingerprint"]\n'
        f'purposes = [{named}]\nlevel = "{level}"\nvalid_from = 2000-01-01\n'
        'valid_until = 2999-12-31\nlegal_basis = "test"\n'
    )


# Agreements of every kind, for worlds that ask for nothing else.
PRESENCE_HOLDERS = ("XCC", "XDD", "XEE", "XFF", "XGG")

AGREEMENTS = {
    "XAA": agreement(
        "XAA",
        permit("XCC", "reference"),
        permit("XBB", "holder"),
        permit("XRA", "holder", "asylum-and-protection"),
    ),
    "XRA": agreement("XRA", permit("XAA", "holder"), permit("XCC", "holder")),
    **{
        holder: agreement(holder, permit("XAA", "presence", "visa"))
        for holder in PRESENCE_HOLDERS
    },
}


def unit(seed: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """Return the embedding of a subject: subjects are far from one another."""
    vector = np.random.default_rng(seed).standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def at_cosine(
    vector: NDArray[np.float32], cosine: float, seed: int = 0
) -> NDArray[np.float32]:
    """Return a unit vector whose cosine with `vector` is `cosine`."""
    base = vector.astype(np.float64)
    other = np.random.default_rng(seed).standard_normal(len(base))
    other -= (other @ base) * base
    other /= np.linalg.norm(other)
    return (cosine * base + np.sqrt(1 - cosine**2) * other).astype(np.float32)


def face(vector: NDArray[np.float32], quality: int | None = None) -> Template:
    """Return a face template of the tiny space."""
    return Template(space=SPACE, position="face", vector=vector, quality=quality)


def record(reference: str, *vectors: NDArray[np.float32], **more: object) -> Record:
    """Return a record with face templates."""
    return Record(reference=reference, templates=tuple(map(face, vectors)), **more)  # type: ignore[arg-type]


class World:
    """One exchange and its members; a context manager."""

    def __init__(
        self,
        root: Path,
        *,
        agreements: dict[str, str] | None = None,
        calibrations: dict[str, str] | None = None,
        clock: Clock | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        slot_ms: int = 1,
    ) -> None:
        """Write the files of an exchange under `root`; `start` serves them.

        Args:
            root: an empty folder.
            agreements: text by holder; a holder that is not there permits nothing.
            calibrations: text by space, in place of those above.
            clock: the exchange's time.
            random_bytes: the exchange's randomness.
            slot_ms: when answers leave; tests do not wait for it.
        """
        self.root = root / "exchange"
        self.clock = clock or SystemClock()
        self._random_bytes = random_bytes
        write_exchange(
            self.root,
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
            listen="127.0.0.1:0",
        )
        settings = self.root / "exchange.toml"
        text = settings.read_text()
        settings.write_text(re.sub(r"(?m)^slot_ms = .*$", f"slot_ms = {slot_ms}", text))
        write_spaces(self.root, calibrations)
        for path in (self.root / "agreements").iterdir():
            path.unlink()
        for text in (agreements or {}).values():
            write_agreement(self.root, text)
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
        self.stop()
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self) -> None:
        """Serve."""
        config = read_config(self.root / "exchange.toml")
        starting = Exchange.start(
            config, clock=self.clock, random_bytes=self._random_bytes
        )
        self.exchange = asyncio.run_coroutine_threadsafe(starting, self._loop).result(
            60
        )

    def stop(self) -> None:
        """Stop serving; what is on disk stays."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if self.exchange is not None:
            stopping = self.exchange.stop()
            asyncio.run_coroutine_threadsafe(stopping, self._loop).result(60)
            self.exchange = None

    def forget_codes(self) -> None:
        """Delete what is kept of galleries, so that a start opens every template."""
        shutil.rmtree(self.root / "data/segments")

    def restart(self) -> None:
        """Stop and serve again."""
        self.stop()
        self.start()

    @property
    def target(self) -> str:
        """Where the exchange listens."""
        assert self.exchange is not None
        return f"127.0.0.1:{self.exchange.port}"

    def profile_file(self, member: str, role: str = "client") -> Path:
        """Write the profile of one of a member's systems, for where it listens now."""
        path = self.root / "clients" / f"{member}-{role}.toml"
        text = path.read_text().replace("127.0.0.1:0", self.target)
        own = path.with_name(f"{member}-{role}.{self.target.rpartition(':')[2]}.toml")
        draft = own.with_name(f"{own.name}.{threading.get_ident()}")
        draft.write_text(text)
        draft.rename(own)  # whole, for whoever else reads it
        return own

    def profile(self, member: str, role: str = "client") -> Profile:
        """Return the profile of one of a member's systems."""
        return Profile.load(self.profile_file(member, role))

    def client(self, member: str, role: str = "client") -> ExchangeClient:
        """Return a connected system of a member's, kept until the world stops."""
        if (member, role) not in self._clients:
            self._clients[member, role] = ExchangeClient(self.profile(member, role))
        return self._clients[member, role]

    def enroller(self, member: str) -> ExchangeClient:
        """Return the member's enrolling system."""
        return self.client(member, "enroller")
