"""What does the log cost, and how fast is it verified?

1. Searches over the whole path, as in `benchmarks.service`, with the log and without:
   processor time of the server for each, and searches a second.
2. Answers made durable a second, many waiting at once, with the log and without it: the
   difference is what a search pays for its leaf, its sealed entries and its receipt.
   Without is possible here only: the product has no such setting.
3. Processor time to verify one receipt, with a proof of its inclusion.
4. Processor time to verify an export of many leaves, offline: by us, and by the module
   that imports nothing of ours.

    python -m benchmarks.log [--answers 5000] [--leaves 1000000]
"""

from __future__ import annotations

import datetime as dt
import secrets
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.kit import command, results, tables
from benchmarks.kit.bare import append
from benchmarks.kit.exchange import BenchmarkExchange
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.service import SEED, measure, probes_of
from biometrics.audit import (
    AuditorSecret,
    Checkpoint,
    Kind,
    Leaf,
    Mention,
    Receipt,
    ReceiptIssuer,
    Scribe,
    commitment,
    standalone,
)
from biometrics.audit.pages import CHECKPOINT, Pages
from biometrics.audit.tiles import span_hash
from biometrics.audit.tree import (
    inclusion,
    leaf_hash,
    prove,
    root,
    root_by_inclusion,
)
from biometrics.audit.verify import verify
from biometrics.clock import SystemClock
from biometrics.members import Member
from biometrics.signing import SigningKey
from biometrics.store import Appended, Disclosed, open_store

if TYPE_CHECKING:
    from concurrent.futures import Future

NAME = "exchange.test/log"
REQUESTER = Member("XZZ")
WAITING = 64
HOLDERS = (1, 10, 47)
CALLERS = 32
ANSWER = "regional match\n" + "XBB match 00112233445566778899aabbccddeeff\n"
QUICK = {
    "answers": 200,
    "receipts": 50,
    "leaves": 2000,
    "records": 500,
    "seconds": 0.5,
    "rounds": 1,
}
COLUMNS = (
    tables.Column("what", "what"),
    tables.Column("count", "count", ",.0f"),
    tables.Column("a_second", "a second", ",.0f"),
    tables.Column("each_us", "each, core us", ",.0f"),
    tables.Column("seconds", "seconds", ",.2f"),
    tables.Column("server_ms", "server, core ms", ",.2f"),
    tables.Column("p50_ms", "p50 ms", ",.1f"),
)


def codes() -> list[Member]:
    """Return many members."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXY"
    return [Member(f"X{a}{b}") for a in letters for b in letters]


def answers(
    folder: Path, holders: int, count: int, *, is_logged: bool
) -> tuple[float, float]:
    """Return the seconds that so many answers take to be durable, and of a core."""
    members = codes()[:holders]
    auditors = {
        member: AuditorSecret.generate(member, secrets.token_bytes).public
        for member in (*members, REQUESTER)
    }
    scribe = Scribe(auditors, secrets.token_bytes)
    issuer = ReceiptIssuer(SigningKey.generate(NAME, secrets.token_bytes))
    where = folder / f"{holders}-{is_logged}.sqlite"
    with open_store(where, SystemClock(), scribe=scribe) as store:
        if not is_logged:
            store.answers._log.append = append  # type: ignore[method-assign, assignment]  # noqa: SLF001
        pending: deque[Future[Any]] = deque()
        begun, worked = time.perf_counter(), time.process_time()
        for _ in range(count):
            if len(pending) >= WAITING:
                pending.popleft().result()
            opening = secrets.token_bytes(32)
            items = (commitment(ANSWER, opening),)
            told = [
                Mention(
                    member=REQUESTER,
                    kind=Kind.SEARCH,
                    gallery="face-synthetic-512",
                    purpose="border-check",
                    agreement=bytes(32),
                    fpir="1e-3",
                    items=items,
                ),
                *(
                    Mention(
                        member=member,
                        kind=Kind.SEARCHED,
                        gallery="face-synthetic-512",
                        other=REQUESTER.code,
                        purpose="border-check",
                        agreement=bytes(32),
                        fpir="1e-3",
                        items=items,
                    )
                    for member in members
                ),
            ]

            def make_body(
                appended: Appended,
                items: tuple[bytes, ...] = items,
                opening: bytes = opening,
            ) -> bytes:
                if not is_logged:
                    return bytes(300)
                (receipt,) = issuer.issue(
                    appended.written,
                    appended.index,
                    NAME,
                    items=items,
                    openings=[opening],
                )
                return bytes(300) + receipt

            pending.append(
                store.answers.commit(
                    REQUESTER,
                    secrets.token_bytes(16),
                    bytes(32),
                    make_body,
                    Disclosed(mentions=tuple(told)),
                )
            )
        for future in pending:
            future.result()
        return time.perf_counter() - begun, time.process_time() - worked


def searches(
    folder: Path, holders: int, records: int, seconds: float, *, is_logged: bool
) -> dict[str, float]:
    """Return what many callers find over the whole path."""
    gallery = Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION)
    exchange = BenchmarkExchange(
        folder / f"{holders}-holders",
        holders=holders,
        threshold=THRESHOLD,
        gallery=gallery,
    )
    program = "biometrics.cli" if is_logged else "benchmarks.kit.bare"
    with exchange.serving(program) as server:
        exchange.enrol(records)
        probes = probes_of(gallery, records, 512)
        return measure(exchange, server.number, probes, CALLERS, seconds)


def receipts(folder: Path, count: int) -> float:
    """Return the seconds of a core in which so many receipts are verified."""
    key = SigningKey.generate(NAME, secrets.token_bytes)
    issuer, given = ReceiptIssuer(key), []
    scribe, pages = Scribe({}, secrets.token_bytes), Pages(folder / "receipts")
    with open_store(folder / "r.sqlite", SystemClock(), scribe=scribe) as store:
        for _ in range(count):
            opening = secrets.token_bytes(32)
            items = (commitment(ANSWER, opening),)

            def make_body(
                appended: Appended,
                items: tuple[bytes, ...] = items,
                opening: bytes = opening,
            ) -> bytes:
                given.extend(
                    issuer.issue(
                        appended.written,
                        appended.index,
                        NAME,
                        items=items,
                        openings=[opening],
                    )
                )
                return b"answer"

            store.answers.commit(
                REQUESTER,
                secrets.token_bytes(16),
                bytes(32),
                make_body,
                Disclosed(
                    mentions=(Mention(member=REQUESTER, kind=Kind.SEARCH, items=items),)
                ),
            ).result()
        leaves = store.log.leaves(0, count)
    pages.add_leaves(0, leaves)
    expected = root([leaf_hash(leaf) for leaf in leaves])
    proofs = [
        prove(inclusion(index, count), lambda span: span_hash(pages, count, span))
        for index in range(count)
    ]
    begun = time.process_time()
    for data, proof in zip(given, proofs, strict=True):
        receipt = Receipt.parse(data, key.verifier)
        receipt.check_answer(ANSWER)
        leaf = leaf_hash(receipt.leaf.data)
        assert root_by_inclusion(leaf, receipt.index, count, proof) == expected
    return time.process_time() - begun


def exports(folder: Path, count: int) -> tuple[float, float]:
    """Return the seconds of a core in which so many leaves are verified, by both.

    The leaves are random: their entries are other members'.
    """
    key = SigningKey.generate(NAME, secrets.token_bytes)
    pages = Pages(folder / "export")
    hour = int(dt.datetime.now(dt.UTC).timestamp()) // 3600
    leaves = [Leaf(hour, secrets.token_bytes(32)).data for _ in range(count)]
    pages.add_leaves(0, leaves)
    checkpoint = Checkpoint(
        origin=NAME, size=count, root=root([leaf_hash(leaf) for leaf in leaves])
    )
    pages.write(CHECKPOINT, checkpoint.signed_by(key))
    begun = time.process_time()
    assert verify(pages.folder, key.verifier).faults == []
    middle = time.process_time()
    standalone.verify(pages.folder, key.verifier.text, None, [])
    return middle - begun, time.process_time() - middle


def main() -> None:
    """Measure one after the other."""
    parser = command.Parser("log", __doc__, quick=QUICK)
    parser.add_argument("--answers", default=5000)
    parser.add_argument("--receipts", default=1000)
    parser.add_argument("--leaves", default=1_000_000)
    parser.add_argument("--records", default=20_000)
    parser.add_argument("--seconds", default=8.0, help="of each round")
    parser.add_argument("--rounds", default=2)
    parser.add_argument("--root", type=Path, help="folder on the disk to be measured")
    options = parser.parse_args()
    found = results.Results(
        "what does the log cost, and how fast is it verified?",
        key=("what", "count"),
        settings={"waiting at once": WAITING},
        options=options,
    )

    def note(what: str, count: int, seconds: float, worked: float) -> None:
        row = {
            "what": what,
            "count": count,
            "a_second": count / seconds,
            "each_us": 1e6 * worked / count,
            "seconds": seconds,
        }
        found.add([row])

    with tempfile.TemporaryDirectory(dir=options.root) as name:
        folder = Path(name)
        for turn in range(options.rounds):
            for holders in HOLDERS[:2]:
                for is_logged in (False, True):
                    row = searches(
                        folder,
                        holders,
                        options.records,
                        options.seconds,
                        is_logged=is_logged,
                    )
                    told = "logged" if is_logged else "bare"
                    what = f"searches over {holders} holders, {told}, round {turn + 1}"
                    found.add(
                        [
                            {
                                "what": what,
                                "count": row["searches"],
                                "a_second": row["searches_a_second"],
                                "server_ms": row["server_ms"],
                                "p50_ms": row["p50_ms"],
                            }
                        ]
                    )
        for holders in HOLDERS:
            for is_logged in (False, True):
                took = answers(folder, holders, options.answers, is_logged=is_logged)
                told = "logged, with receipts" if is_logged else "without a log"
                what = f"answers over {holders} holders, {told}"
                note(what, options.answers, *took)
        seconds = receipts(folder, options.receipts)
        note("receipts verified", options.receipts, seconds, seconds)
        ours, other = exports(folder, options.leaves)
        note("leaves verified", options.leaves, ours, ours)
        note("leaves verified by standalone.py", options.leaves, other, other)
    found.show("durable answers, and what is verified of them", COLUMNS)


if __name__ == "__main__":
    command.run(main)
