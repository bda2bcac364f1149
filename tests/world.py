"""A small world: a real exchange on loopback, with members who act in it.

Everything is real: files as `biometrics init` writes them, SQLite on disk, mutual
TLS, the client SDK. Only the clock and the randomness can be handed in.
"""

from __future__ import annotations

import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics import limits
from biometrics.calibration import FpirClass
from biometrics.client import Chunk, ExchangeClient, Record, Template
from biometrics.testing import ExchangeInProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


def space_files(calibrations: dict[str, str] | None = None) -> dict[str, str]:
    """Return the tiny spaces' files, text by path below an exchange's folder."""
    texts = CALIBRATIONS | (calibrations or {})
    of_each = {f"calibrations/{space}.toml": text for space, text in texts.items()}
    return {"spaces.toml": SPACES, **of_each}


def write_spaces(root: Path) -> None:
    """Write the tiny spaces into an exchange in place of the samples."""
    for path in (root / "calibrations").iterdir():
        path.unlink()
    for name, text in space_files().items():
        (root / name).write_text(text)


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


class World(ExchangeInProcess):
    """One exchange of the tiny spaces and its members; a context manager."""

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
        super().__init__(
            root,
            spaces=space_files(calibrations),
            agreements=agreements or {},
            clock=clock,
            random_bytes=random_bytes,
            slot_ms=slot_ms,
        )

    def forget_codes(self) -> None:
        """Delete what is kept of galleries, so that a start opens every template."""
        shutil.rmtree(self.root / "data/segments")

    def enroller(self, member: str) -> ExchangeClient:
        """Return the member's enrolling system."""
        return self.client(member, "enroller")

    def administrator(self, member: str = "XAA") -> ExchangeClient:
        """Return the member's administrator."""
        return self.client(member, "administrator")


@contextmanager
def two_holders(root: Path, count: int) -> Iterator[World]:
    """Serve an exchange in which two holders have enrolled so many people each.

    Numbers 0, 1, 2 and so on are XAA's, and from 500 on XBB's, as `case-NUMBER`.
    """
    agreements = AGREEMENTS | {"XBB": agreement("XBB", permit("XCC", "holder"))}
    with pytest.MonkeyPatch.context() as patch, World(root, agreements=agreements) as w:
        # What is refused as UNAVAILABLE is tried again, and here soon.
        patch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
        patch.setattr(limits, "CLIENT_MOST_WAIT_SECONDS", 0.02)
        for holder, first in (("XAA", 0), ("XBB", 500)):
            numbers = range(first, first + count)
            people = tuple(record(f"case-{n}", unit(n)) for n in numbers)
            list(w.enroller(holder).enrol_many([Chunk(records=people)]))
        yield w
