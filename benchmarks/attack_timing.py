"""Can a requester tell by time what an answer does not say?

An attacker with a certificate of its own searches over loopback and mutual TLS, one
probe after the other, in random order: of people who match, who do not, and who match
but are protected from it. It times each call from the last byte handed to gRPC to the
answer in its hands, and guesses which of two answers was of which kind by which took
longer. AUC is how often it is right: 0.5 is a coin.

    python -m benchmarks.attack_timing [--records 20000] [--pairs 5000] [--slots 1 25]

With a slot of 1 ms the defence is as good as off, which shows that the attack works.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.exchange import PURPOSE, REQUESTER, BenchmarkExchange, face
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from biometrics.client import ExchangeClient, Profile
from biometrics.client.channel import prepare_channel
from biometrics.client.messages import RequestMaker

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED: Final = 9
METHOD: Final = "/biometrics.v1.MatchService/Match"
KINDS: Final = ("none", "match", "masked")
MASKED: Final = 256  # records that exclude the attacker
LATE: Final = 2.5  # slots; an answer takes two
DRAWS: Final = 200  # of the bootstrap
DEADLINE_SECONDS: Final = 30.0


QUICK = {"records": 1000, "pairs": 20, "slots": [1, 20]}


def probes_of(gallery: Gallery, records: int) -> dict[str, list[NDArray[np.float32]]]:
    """Return probes of each kind; the first records are those that are masked."""
    _, block = next(gallery.blocks(records))
    mates = block[: 2 * MASKED]
    mated = gallery.mated(mates, np.full(len(mates), 0.6))
    return {
        "none": list(gallery.non_mated(MASKED)),
        "match": list(mated[MASKED:]),
        "masked": list(mated[:MASKED]),
    }


def protect(exchange: BenchmarkExchange) -> None:
    """Protect the first records from the attacker."""
    profile = Profile.load(exchange.profile(exchange.holders[0], "enroller"))
    with ExchangeClient(profile) as client:
        for row in range(MASKED):
            client.protect(f"{row}", excluded=[REQUESTER])


def attack(
    exchange: BenchmarkExchange, records: int, pairs: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return how long the answers of each kind took, in microseconds."""
    profile = Profile.load(exchange.profile(REQUESTER, "client"))
    settings = prepare_channel(profile)
    maker = RequestMaker(secrets.token_bytes)
    asked = {
        kind: cycle(probes)
        for kind, probes in probes_of(exchange.gallery, records).items()
    }
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(len(KINDS)), pairs))
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with grpc.secure_channel(
        profile.target, settings.credentials, settings.options
    ) as channel:
        call = channel.unary_unary(METHOD)
        for number in order:
            kind = KINDS[number]
            request = maker.match(face(next(asked[kind])), PURPOSE, (), None)
            data = request.SerializeToString()
            begun = time.perf_counter()
            call(data, timeout=DEADLINE_SECONDS)
            took[kind].append(1e6 * (time.perf_counter() - begun))
    return {kind: np.array(values) for kind, values in took.items()}


def auc(longer: NDArray[np.float64], shorter: NDArray[np.float64]) -> float:
    """Return how often one of the first took longer than one of the second."""
    order = np.argsort(np.concatenate([longer, shorter]), kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    above = ranks[: len(longer)].sum() - len(longer) * (len(longer) + 1) / 2
    return float(above / (len(longer) * len(shorter)))


def compared(
    kind: str, took: dict[str, NDArray[np.float64]], slot_ms: int, seed: int
) -> dict[str, float | str | int]:
    """Return how well one kind can be told from no match."""
    some, none = took[kind], took["none"]
    random = np.random.default_rng(seed)

    def again(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return random.choice(values, len(values))

    pairs = [(again(some), again(none)) for _ in range(DRAWS)]
    areas = [auc(*pair) for pair in pairs]
    apart = [np.median(a) - np.median(b) for a, b in pairs]
    return {
        "slot_ms": slot_ms,
        "kind": kind,
        "pairs": len(some),
        "median_us": float(np.median(some)),
        "late": float(np.mean(np.concatenate([some, none]) > LATE * 1e3 * slot_ms)),
        "auc": auc(some, none),
        "auc_low": float(np.percentile(areas, 2.5)),
        "auc_high": float(np.percentile(areas, 97.5)),
        "apart_us": float(np.median(some) - np.median(none)),
        "apart_low": float(np.percentile(apart, 2.5)),
        "apart_high": float(np.percentile(apart, 97.5)),
    }


COLUMNS = (
    tables.Column("slot_ms", "slot, ms"),
    tables.Column("kind", "told from no match"),
    tables.Column("pairs", "pairs", ",d"),
    tables.Column("median_us", "median, us", ",.0f"),
    tables.Column("late", "in a later slot", ".2%"),
    tables.Column("auc", "AUC", ".3f"),
    tables.Column("auc_low", "95 % from", ".3f"),
    tables.Column("auc_high", "to", ".3f"),
    tables.Column("apart_us", "medians apart, us", ".1f"),
    tables.Column("apart_low", "95 % from", ".1f"),
    tables.Column("apart_high", "to", ".1f"),
)


def main() -> None:
    """Attack with each length of slot."""
    parser = command.Parser("attack_timing", __doc__, quick=QUICK)
    parser.add_argument("--records", default=20_000)
    parser.add_argument("--pairs", default=5000)
    parser.add_argument("--slots", nargs="+", default=[1, 25], help="in ms")
    options = parser.parse_args()
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    found = results.Results(
        "can a requester tell by time what an answer does not say?",
        key=("slot_ms", "kind"),
        settings={"records": options.records, "threshold": THRESHOLD},
        options=options,
    )
    with tempfile.TemporaryDirectory() as folder:
        for slot_ms in options.slots:
            exchange = BenchmarkExchange(
                Path(folder) / "exchange",
                holders=1,
                threshold=THRESHOLD,
                gallery=gallery,
                slot_ms=slot_ms,
            )
            with exchange.serving():
                if exchange.enrol(options.records):
                    protect(exchange)
                attack(exchange, options.records, 20, SEED)
                took = attack(exchange, options.records, options.pairs, SEED)
            found.add(compared(kind, took, slot_ms, SEED) for kind in KINDS[1:])
    found.show("told by time", COLUMNS)


if __name__ == "__main__":
    command.run(main)
