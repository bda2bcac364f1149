"""The main path of the demo: a whole pilot on loopback, and nothing in it faked.

1. People: a synthetic population, or the embeddings of a file; some of the subjects,
   of a file half, estimate centring and threshold and are not seen again.
2. Exchange: `init` as a user would run it, with the estimated template space.
3. Serve: the real server, in a process of its own, with mutual TLS; its galleries in
   that process, or in shards on Ray nodes.
4. Enrol: every holder's gallery file, through the gRPC API.
5. Search: every requester, mated and non-mated probes, through the gRPC API.
6. Compare every answer with an exhaustive float64 decision and the agreements.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.calibration import (
    Calibration,
    FpirClass,
    Row,
    write_calibration,
)
from biometrics.callers import Caller, Role
from biometrics.client import Chunk, ExchangeClient, Profile, Record, Template
from biometrics.clock import SystemClock
from biometrics.demo.agreements import PURPOSES, write_agreements
from biometrics.demo.captures import Captures, read_captures, synthetic_captures
from biometrics.demo.nodes import in_shards
from biometrics.demo.outcome import Outcome, Rows
from biometrics.demo.people import FLED, SHARES, Gallery, People, deal, draw
from biometrics.demo.process import ConsoleProcess, ServerProcess, free_port
from biometrics.demo.tally import Asked, Pair
from biometrics.demo.truth import Agreements, Truth
from biometrics.errors import (
    ExhaustedError,
    InvalidRequestError,
    RefusedError,
)
from biometrics.files import cannot_write
from biometrics.members import Member
from biometrics.server.blueprint import write_exchange
from biometrics.server.development_pki import DevelopmentPki
from biometrics.templates import Basis
from enrolment.formats.arrays import read_npz, write_npz

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from biometrics.client import MatchAnswer

SPACE: Final = "demo-faces"
_PRIVATE: Final = 0o700  # gallery files are in the clear
# Of the live traffic that a console shows.
_FEW: Final = 8
_BETWEEN_SECONDS: Final = 1.5
_ROUNDS: Final = 10
_CALLERS: Final = 8  # of each requester at once: answers wait for the end of a slot

# Told of each step: its name, how much is done, of how much.
Progress = Callable[[str, int, int], None]
# Told where the console is, and which files browsers take, with their passwords.
Shown = Callable[[str, "list[tuple[Path, str]]"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the demo is to do.

    Attributes:
        directory: where everything is written.
        records: how many records to enrol at most; None for as many as usual, or
            as the file has.
        searches: how many searches each requester makes at most.
        embeddings: a file with `embedding` and `subject`, or None for a synthetic
            population.
        seed: of everything that is drawn.
        shards: that galleries are in; None for galleries in one process.
        shown: told where the console is; None for a pilot without one, which ends.
    """

    directory: Path
    records: int | None
    searches: int
    embeddings: Path | None
    seed: int
    shards: int | None = None
    shown: Shown | None = None


def run(plan: Plan, progress: Progress) -> Outcome:
    """Run the whole pilot; see the module.

    Args:
        plan: what to do.
        progress: told of each step: its name, how much is done, of how much.

    Raises:
        ExchangeError: a step could not be done.
    """
    random = np.random.default_rng(plan.seed)
    # 1. People.
    progress("people", 0, 1)
    captures = take_captures(plan)
    people = deal_captures(captures, random)
    centre, threshold = captures.estimate(people.records)
    progress("people", 1, 1)
    # 2. Exchange.
    root = plan.directory / "exchange"
    write_exchange(
        root,
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
        listen=f"127.0.0.1:{free_port()}",
        console=f"127.0.0.1:{free_port()}" if plan.shown else None,
    )
    write_space(root, centre, threshold)
    today = SystemClock().now().date()
    write_agreements(root, today)
    rules = Agreements(root / "agreements", today)
    pilot = Pilot(root, people, Truth(people, rules, centre, threshold), progress)
    # 3. Serve.
    with ExitStack() as running:
        settings = root / "exchange.toml"
        if plan.shards is not None:
            progress("Ray nodes", 0, plan.shards)
            running.enter_context(
                in_shards(settings, plan.shards, records=people.records)
            )
            progress("Ray nodes", plan.shards, plan.shards)
        server = running.enter_context(
            ServerProcess(settings, plan.directory / "serve.log")
        )
        server.wait_until_ready(pilot.profile("XAA", "client"))
        if plan.shown is not None:
            running.enter_context(open_console(plan.directory, plan.shown))
        # 4. Enrol.
        begun = time.perf_counter()
        for holder in people.holders:
            pilot.enrol(holder, plan.directory / f"{holder}.npz")
        enrol_seconds = time.perf_counter() - begun
        # 5. and 6. Search and compare.
        asked: list[Asked] = []
        for requester in SHARES:
            progress("search", len(asked), len(SHARES))
            asked.append(pilot.ask(requester, draw(people, plan.searches, random)))
        progress("search", len(asked), len(SHARES))
        refusals = pilot.refusals()
        if plan.shown is not None:
            pilot.go_on(random)
    return Outcome(
        records=people.records,
        subjects=people.enrolled,
        rows=Rows.of(captures, people),
        dimension=captures.embedding.shape[1],
        shards=plan.shards,
        enrol_seconds=enrol_seconds,
        threshold=threshold,
        target_fpir=captures.target_fpir,
        asked=asked,
        refusals=refusals,
    )


@contextmanager
def open_console(folder: Path, shown: Shown) -> Iterator[None]:
    """Run the console of the exchange in `folder`, and tell of it.

    Raises:
        UnavailableError: it does not start.
    """
    root = folder / "exchange"
    pki, config = DevelopmentPki.of(
        root / "exchange.toml", clock=SystemClock(), random_bytes=secrets.token_bytes
    )
    coordinator = Caller(
        member=Member("XRA"), role=Role.COORDINATOR, name="coordinator-1"
    )
    pki.issue(coordinator, config.listen)
    settings = root / "console.toml"
    with ConsoleProcess(settings, folder / "console.log") as console:
        console.wait_until_ready()
        told = next(line for line in console.said if "https://" in line)
        address = told[told.index("https://") :].replace("127.0.0.1", "localhost")
        browsers = ("XRA-coordinator", "XAA-auditor", "XBB-administrator")
        shown(address, [pki.bundle(root / f"pki/{each}.pem") for each in browsers])
        yield


def make_folder(path: Path) -> None:
    """Make the folder that everything is kept in, for its owner alone.

    Raises:
        ConfigurationError: it exists, or cannot be made.
    """
    try:
        path.mkdir(_PRIVATE, parents=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def take_captures(plan: Plan) -> Captures:
    """Return the captures that the plan names."""
    if plan.embeddings is None:
        return synthetic_captures(plan.seed, plan.records)
    return read_captures(plan.embeddings, plan.seed, plan.records)


def deal_captures(captures: Captures, random: np.random.Generator) -> People:
    """Deal those who do not estimate to the holders.

    Raises:
        InvalidRequestError: nobody has a capture to enrol and one to search with.
    """
    rest = ~captures.estimating
    people = deal(
        captures.embedding[rest],
        captures.subject[rest],
        random,
        records=captures.records,
        records_each=captures.records_each,
    )
    if not people.records:
        raise InvalidRequestError(
            "TOO_FEW_SAMPLES",
            f"`{captures.source}` has one row of each subject who would be enrolled;"
            " give two or more of each: one is enrolled, another searched with",
        )
    return people


def write_space(root: Path, centre: NDArray[np.float64], threshold: float) -> None:
    """Write the demo's one template space, and its one threshold for every promise."""
    numbers = ", ".join(repr(float(x)) for x in centre)
    (root / "spaces.toml").write_text(
        "# The template space of the demo: its centre is estimated on the half of the\n"
        "# subjects that is not enrolled.\n"
        "version = 1\n\n[[space]]\n"
        f'name = "{SPACE}"\nmodality = "face"\nextractor = "demo"\n'
        'extractor_version = "1"\npositions = ["face"]\n'
        f"dimension = {len(centre)}\ncentre = [{numbers}]\n",
        "utf-8",
    )
    for path in (root / "calibrations").iterdir():
        path.unlink()
    calibration = Calibration(
        space=SPACE,
        definition=None,
        basis=Basis.UNMEASURED,
        dated=SystemClock().now().date(),
        method="estimated on the subjects that are not enrolled, for one FPIR alone",
        evidence=None,
        rows=tuple(
            Row(fpir=fpir, comparisons=None, cosine=threshold) for fpir in FpirClass
        ),
        digest="",
    )
    text = write_calibration(calibration)
    (root / "calibrations" / f"{SPACE}.toml").write_text(text, "utf-8")


@dataclass(frozen=True, slots=True)
class Pilot:
    """A running exchange, its people, and what it must answer about them."""

    root: Path
    people: People
    truth: Truth
    progress: Progress

    def profile(self, member: str, role: str) -> Profile:
        """Return the profile of one of a member's systems."""
        return Profile.load(self.root / "clients" / f"{member}-{role}.toml")

    def enrol(self, holder: str, path: Path) -> None:
        """Write one holder's gallery file to `path`, and enrol it.

        Raises:
            InvalidRequestError: a record was refused; none should be.
        """
        gallery = self.people.galleries[holder]
        embedding = self.people.embedding[gallery.rows]
        write_npz(path, embedding, gallery.references(holder))
        done, label = 0, f"enrol {holder}"
        self.progress(label, done, len(gallery.rows))
        with ExchangeClient(self.profile(holder, "enroller")) as client:
            for told in client.enrol_many(chunks(path, gallery)):
                for outcome in told.outcomes:
                    for fault in outcome.faults:
                        raise InvalidRequestError(fault.reason, fault.message)
                done += len(told.outcomes)
                self.progress(label, done, len(gallery.rows))

    def ask(self, requester: str, probes: NDArray[np.int64]) -> Asked:
        """Make one requester's searches and count its answers."""
        purpose = PURPOSES[requester]
        levels = self.truth.levels(requester, purpose)
        holders = [h for h in self.people.galleries if h != requester]
        pairs = {holder: Pair(level=levels.get(holder)) for holder in holders}
        asked = Asked(requester=requester, purpose=purpose, pairs=pairs)
        if not levels:
            return asked
        expected = self.truth.answers(requester, purpose, probes)
        with (
            ExchangeClient(self.profile(requester, "client")) as client,
            ThreadPoolExecutor(_CALLERS) as callers,
        ):

            def ask(row: np.int64) -> tuple[float, MatchAnswer]:
                probe = template(self.people.embedding[row])
                begun = time.perf_counter()
                answer = client.match(probe, purpose=purpose)
                return time.perf_counter() - begun, answer

            answers = callers.map(ask, probes)
            for (seconds, answer), right in zip(answers, expected, strict=True):
                asked.seconds.append(seconds)
                asked.count(answer, right)
        return asked

    def go_on(self, random: np.random.Generator) -> None:
        """Let every requester search, now and then, until Ctrl-C."""
        with suppress(KeyboardInterrupt):
            for count in itertools.count():
                self.progress("live, Ctrl-C ends", count % _ROUNDS, _ROUNDS)
                for requester in SHARES:
                    few = int(random.integers(1, _FEW))
                    with suppress(ExhaustedError):  # the day's quota, after hours
                        self.ask(requester, draw(self.people, 2 * few, random))
                    time.sleep(_BETWEEN_SECONDS * float(random.random()))

    def refusals(self) -> tuple[int, int]:
        """Name, once for each requester, every holder that it may not name.

        Returns:
            How many of these searches were refused, and how many there were.
        """
        count = of = 0
        probe = template(self.people.embedding[self.people.non_mated[0]])
        for requester, purpose in PURPOSES.items():
            levels = self.truth.levels(requester, purpose)
            with ExchangeClient(self.profile(requester, "client")) as client:
                for holder in SHARES:
                    if levels.get(holder, "presence") != "presence":
                        continue
                    of += 1
                    try:
                        client.match(probe, purpose=purpose, holders=[holder])
                    except RefusedError:
                        count += 1
        return count, of


def template(vector: NDArray[np.float32]) -> Template:
    """Return a face of the demo's space."""
    return Template(space=SPACE, position="face", vector=vector)


def chunks(path: Path, gallery: Gallery) -> Iterator[Chunk]:
    """Read a gallery file in chunks of records."""
    size = limits.BULK_RECORDS_PER_CHUNK
    for start, references, vectors in read_npz(path).records(size):
        records = (
            Record(
                reference=reference,
                templates=(template(vector),),
                excluded=(FLED,) if protected else (),
                legal_basis="demo",
            )
            for reference, vector, protected in zip(
                references,
                vectors,
                gallery.protected[start:],
                strict=False,  # the gallery goes on where the chunk ends
            )
        )
        yield Chunk(start=start, records=tuple(records))
