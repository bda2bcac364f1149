"""A real exchange to be measured: files, server process, members, and their galleries.

It is what `biometrics init` writes, served by `biometrics serve` in a process of its
own over mutual TLS. The holders are XBB, XBC and so on; one more member, XZZ, may
search all of them. Enrolment goes through the same gRPC calls as any member's.
"""

from __future__ import annotations

import multiprocessing
import re
import secrets
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.kit.galleries import BLOCK, Gallery
from biometrics import limits
from biometrics.client import Chunk, ExchangeClient, Profile, Record, Template
from biometrics.clock import SystemClock
from biometrics.demo.process import ServerProcess, free_port
from biometrics.server.blueprint import write_exchange
from biometrics.server.development import write_agreement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["PURPOSE", "REQUESTER", "BenchmarkExchange", "face"]

SPACE: Final = "face-synthetic-512"
PURPOSE: Final = "border-check"
REQUESTER: Final = "XZZ"
SHORTEST_SLOT_MS: Final = 1
_CHUNK: Final = 512  # records in one message
_START_SECONDS: Final = 600.0  # without codes on disk every template is opened
_LETTERS: Final = "BCDEFGHIJKLMNOPQRSTUVWXY"


def face(vector: NDArray[Any]) -> Template:
    """Return a face of the one space."""
    return Template(space=SPACE, position="face", vector=vector)


class BenchmarkExchange:
    """The files of an exchange; `serving` runs it.

    Attributes:
        root: its folder.
        holders: codes of the members whose galleries are searched.
        gallery: whose vectors are enrolled, dealt to the holders block by block.
    """

    def __init__(  # noqa: PLR0913 - what benchmarks differ by
        self,
        root: Path,
        *,
        holders: int,
        threshold: float,
        gallery: Gallery,
        database: str = "data/exchange.sqlite",
        is_shared: bool = False,
        slot_ms: int = SHORTEST_SLOT_MS,
        requesters: Sequence[str] = (REQUESTER,),
    ) -> None:
        """Write the files, unless they are there already.

        Args:
            root: of the exchange; its parent must exist.
            holders: 1 to 552.
            threshold: of the space, a cosine.
            gallery: 512-d vectors.
            database: as in `[store]`: a path below the root, or a URL.
            is_shared: as `shared` in `[store]`.
            slot_ms: as in `[answers]`; the least, so that the work is measured.
            requesters: members who may search all holders.
        """
        self.root = root
        self.gallery = gallery
        codes = (f"X{a}{b}" for a in _LETTERS for b in _LETTERS)
        self.holders = [code for code, _ in zip(codes, range(holders), strict=False)]
        if not (root / "exchange.toml").exists():
            write_exchange(
                root,
                clock=SystemClock(),
                random_bytes=secrets.token_bytes,
                listen=f"127.0.0.1:{free_port()}",
                members={code: code for code in (*self.holders, *requesters)},
            )
        for code in self.holders:
            _write_agreement(root, code, requesters)
        settings = self.config.read_text("utf-8")
        store = f'database = "{database}"' + "\nshared = true" * is_shared
        stated = re.sub(r'(?m)^database = "[^"]*"', store, settings)
        stated = re.sub(r"(?m)^slot_ms = .*$", f"slot_ms = {slot_ms}", stated)
        self.config.write_text(stated, "utf-8")
        calibration = root / "calibrations" / "face-synthetic-512.toml"
        text = calibration.read_text("utf-8")
        stated = re.sub(r"(?m)^cosine = .*$", f"cosine = {threshold!r}", text)
        calibration.write_text(stated, "utf-8")

    @property
    def config(self) -> Path:
        """Its settings."""
        return self.root / "exchange.toml"

    def profile(self, code: str, role: str) -> Path:
        """Return the profile of one of a member's systems."""
        return self.root / "clients" / f"{code}-{role}.toml"

    @contextmanager
    def serving(self, program: str = "biometrics.cli") -> Iterator[ServerProcess]:
        """Serve it, in a process of its own, by this module."""
        log = self.root / "serve.log"
        with ServerProcess(self.config, log, program) as server:
            profile = Profile.load(self.profile(REQUESTER, "client"))
            server.wait_until_ready(profile, _START_SECONDS)
            yield server

    def enrolled(self, holders: Sequence[str] | None = None) -> int:
        """Return how many templates some holders have, or all."""
        count = 0
        for code in self.holders if holders is None else holders:
            profile = Profile.load(self.profile(code, "enroller"))
            with ExchangeClient(profile) as client:
                count += sum(gallery.templates for gallery in client.galleries())
        return count

    def enrol(self, records: int, *, processes: int = 2) -> float:
        """Enrol the gallery's first records; return how many were added a second.

        Blocks are dealt to the holders in turn. Those that are there stay as they are,
        so that a run can go on: whole blocks are enrolled one after the other.
        """
        held = self.enrolled()
        if held >= records:
            return 0.0
        # Whoever was cut short may have left as many blocks unfinished.
        blocks = range(max(0, held // BLOCK - processes), -(-records // BLOCK))
        tasks = [
            (str(self.root), self.gallery, block, records, self.holders)
            for block in blocks
        ]
        begun = time.perf_counter()
        context = multiprocessing.get_context("spawn")
        with context.Pool(processes) as pool:
            added = sum(pool.starmap(_enrol_block, tasks, chunksize=1))
        return added / (time.perf_counter() - begun)


def _enrol_block(
    root: str, gallery: Gallery, block: int, records: int, holders: Sequence[str]
) -> int:
    """Enrol one block of the gallery, spread over all holders; return how many."""
    rows, vectors = gallery.block(records, block)
    added = 0
    for number, code in enumerate(holders):
        mine = range(number, len(vectors), len(holders))
        path = Path(root) / "clients" / f"{code}-enroller.toml"
        chunks = [
            Chunk(
                records=tuple(
                    Record(
                        reference=f"{rows.start + row}", templates=(face(vectors[row]),)
                    )
                    for row in mine[start : start + _CHUNK]
                )
            )
            for start in range(0, len(mine), _CHUNK)
        ]
        with ExchangeClient(Profile.load(path)) as client:
            for outcome in client.enrol_many(chunks):
                added += sum(each.status == "enrolled" for each in outcome.outcomes)
    return added


def _write_agreement(root: Path, holder: str, requesters: Sequence[str]) -> None:
    """Let requesters search a holder."""
    head = f'version = 1\nholder = "{holder}"\nrevision = 2\n'
    clauses = [
        f'\n[[permit]]\nrequester = "{requester}"\n'
        f'modalities = ["face"]\npurposes = ["{PURPOSE}"]\nlevel = "holder"\n'
        f"quota_per_day = {limits.MAX_QUOTA_PER_DAY}\n"
        "valid_from = 2020-01-01\nvalid_until = 2099-12-31\n"
        'legal_basis = "benchmark"\n'
        for requester in requesters
    ]
    write_agreement(root, "".join([head, "dated = 2020-01-01T00:00:00Z\n", *clauses]))
