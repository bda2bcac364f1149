"""Can an exchange show two histories, and have a quorum of witnesses for both?

Two histories that part after so many leaves, at every size to 300; three witnesses,
each shown both, in every order; and a verifier who asks for two of the three. The
exchange also puts every cosignature below the other history's checkpoint. Witnesses and
verifier are the product's own.

Once more with witnesses that forget what they have cosigned: that shows that the
harness finds a quorum for both where there is one.

    python -m benchmarks.split_view [--sizes 300]
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.kit import command, results, tables
from biometrics.audit.checkpoint import Checkpoint
from biometrics.audit.cosignature import WitnessSecret
from biometrics.audit.misbehaviour import Misbehaviour
from biometrics.audit.policy import Policy
from biometrics.audit.quorum import Wanted
from biometrics.audit.tiles import LeafTiles
from biometrics.audit.tree import leaf_hash, root
from biometrics.audit.witness import Remembered, Witness
from biometrics.errors import InvalidRequestError
from biometrics.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "exchange.test/log"
SIZES = 300
MOST_MORE = 40  # leaves after the fork
NOW = 2_000_000_000
KEY = SigningKey(NAME, bytes(32))
SECRETS = [WitnessSecret(f"{NAME}/w{n}", bytes([n]) * 32) for n in (1, 2, 3)]
WITNESSES = [Witness(KEY.verifier, secret) for secret in SECRETS]
POLICY = Policy.parse(
    "".join(f"witness w{n} {s.public.text}\n" for n, s in enumerate(SECRETS)).encode()
    + b"group three 2 w0 w1 w2\nquorum three\n",
    "policy",
)
WANTED = Wanted(policy=POLICY, earliest=NOW, latest=NOW)
ORDERS = list(product((0, 1), repeat=len(WITNESSES)))
QUICK = {"sizes": 10}
COLUMNS = (
    tables.Column("witnesses", "witnesses"),
    tables.Column("forks", "forks", ",.0f"),
    tables.Column("cosigned", "cosigned", ",.0f"),
    tables.Column("refused", "refused", ",.0f"),
    tables.Column("proofs", "proofs kept", ",.0f"),
    tables.Column("one", "quorum for one", ",.0f"),
    tables.Column("both", "quorum for both", ",.0f"),
    tables.Column("seconds", "seconds", ",.1f"),
)


@dataclass(slots=True)
class Tally:
    """What came of forks.

    Attributes:
        forks: how many there were.
        cosigned: how often a witness has cosigned.
        refused: how often it has not.
        proofs: how often it kept a proof of two histories, which was checked.
        one: forks of which the verifier accepts one history at most.
        both: forks of which it accepts either.
    """

    forks: int = 0
    cosigned: int = 0
    refused: int = 0
    proofs: int = 0
    one: int = 0
    both: int = 0


class History:
    """One of the two, at its end."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """Sign for these leaves, given by their hashes."""
        self.tiles = LeafTiles(leaves)
        self.checkpoint = Checkpoint(
            origin=NAME, size=len(leaves), root=root(list(leaves))
        )
        self.note = self.checkpoint.signed_by(KEY)
        self.lines: list[bytes] = []

    def is_accepted(self, others: Sequence[bytes]) -> bool:
        """Say whether a verifier finds a quorum, whatever else is put below it."""
        for line in others:
            found, errors = WANTED.cosigners(self.note + line)
            assert errors
            assert not found
        times, _ = WANTED.cosigners(self.note + b"".join(self.lines))
        try:
            return WANTED.newest([(self.checkpoint, times)]) is not None
        except InvalidRequestError:
            return False


def histories(
    common: Sequence[bytes], random: np.random.Generator
) -> tuple[History, History]:
    """Return two histories that part after some leaves."""
    first, second = random.integers(1, MOST_MORE, 2)
    ends = [
        [leaf_hash(random.bytes(8)) for _ in range(count)] for count in (first, second)
    ]
    one, other = (History([*common, *end]) for end in ends)
    return one, other


def fork(
    common: Sequence[bytes],
    order: Sequence[int],
    random: np.random.Generator,
    tally: Tally,
    *,
    forgets: bool = False,
) -> None:
    """Show both histories to every witness.

    Args:
        common: hashes of the leaves before the fork.
        order: which history each witness is shown first.
        random: of what comes after it.
        tally: counts what came of it.
        forgets: whether witnesses forget.
    """
    both = histories(common, random)
    for witness, first in zip(WITNESSES, order, strict=True):
        before = _earlier(witness, common, random)
        for which in (first, 1 - first):
            history = both[which]
            found = _look(witness, None if forgets else before, history)
            if isinstance(found, Remembered):
                before = found
                history.lines.append(found.note.removeprefix(history.note))
                tally.cosigned += 1
                continue
            tally.refused += 1
            if found is not None:
                Misbehaviour.parse(found.data).check(KEY.verifier)
                tally.proofs += 1
    one, other = both
    accepted = one.is_accepted(other.lines) + other.is_accepted(one.lines)
    tally.forks += 1
    tally.one += accepted == 1
    tally.both += accepted > 1


def _earlier(
    witness: Witness, common: Sequence[bytes], random: np.random.Generator
) -> Remembered | None:
    """Return what a witness has cosigned before the fork, if it had begun by then."""
    size = int(random.integers(0, len(common) + 1))
    if not size:
        return None
    found = _look(witness, None, History(common[:size]))
    assert isinstance(found, Remembered)
    return found


def _look(
    witness: Witness, before: Remembered | None, history: History
) -> Remembered | Misbehaviour | None:
    """Have a witness look at a history; None if it refuses without a proof."""
    try:
        return witness.look(before, history.note, (), history.tiles, NOW)
    except InvalidRequestError:
        return None


def tallied(
    sizes: range, orders: Sequence[Sequence[int]], seed: int, *, forgets: bool = False
) -> Tally:
    """Return what came of forks after so many leaves each, in these orders."""
    random, tally = np.random.default_rng(seed), Tally()
    common = [leaf_hash(random.bytes(8)) for _ in range(sizes.stop)]
    for size in sizes:
        for order in orders:
            fork(common[:size], order, random, tally, forgets=forgets)
    return tally


def measured(most: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield a row for witnesses that remember, and one for those that forget."""
    for name, forgets, sizes in (
        ("remember", False, range(most + 1)),
        ("forget", True, range(0, most + 1, 30)),
    ):
        begun = time.perf_counter()
        tally = tallied(sizes, ORDERS, seed, forgets=forgets)
        yield {
            "witnesses": f"that {name}",
            "forks": tally.forks,
            "cosigned": tally.cosigned,
            "refused": tally.refused,
            "proofs": tally.proofs,
            "one": tally.one,
            "both": tally.both,
            "seconds": time.perf_counter() - begun,
        }


def main() -> None:
    """Fork at every size."""
    parser = command.Parser("split_view", __doc__, quick=QUICK)
    parser.add_argument("--sizes", default=SIZES, help="forks to this size")
    parser.add_argument("--seed", type=command.natural, default=1)
    options = parser.parse_args()
    found = results.Results(
        "can an exchange have a quorum of witnesses for two histories?",
        key=("witnesses",),
        settings={"sizes": options.sizes, "seed": options.seed},
        options=options,
    )
    for row in measured(options.sizes, options.seed):
        found.add([row])
    found.show("two histories, two of three witnesses", COLUMNS)


if __name__ == "__main__":
    command.run(main)
