"""What has to be true of what a loss of power has left."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from simulation.exchange import Node
from simulation.ledger import Key, Ledger, State
from simulation.misplaced import misplaced
from world import face, unit

from biometrics import limits
from biometrics.audit import AuditorSecret
from biometrics.audit.verify import Shown, verify
from biometrics.cli.log_export import export_log
from biometrics.client import Template
from biometrics.custody import FileKeyProvider
from biometrics.errors import ConfigurationError, ExchangeError
from biometrics.server.examination import examine
from biometrics.server.restoration import (
    _read_manifest,
    _refuse_changed,
    _refuse_damaged,
)
from biometrics.signing import VerifierKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.life import Life, Place

REQUESTER: Final = "XCC"
JOINING: Final = "XBB"
RESTRICTIONS: Final = "restrictions"
HOLDERS: Final = ("XAA", "XRA")
NOBODY: Final = 10**6
# For how many is searched in one gallery.
MOST_THERE, MOST_GONE = 16, 4
# In how many ways something is misplaced after each life.
MISPLACED: Final = 4


def check(place: Place, ledger: Ledger, life: Life) -> list[str]:
    """Return what is wrong; nothing may be."""
    wrong = [f"erased, and is back: {each!r}" for each in _back(place, ledger)]
    wrong += _of_backups(place, ledger)
    try:
        found = examine(place.root / "exchange.toml", show=lambda *_: None)
    except ExchangeError as error:
        if ledger.records or error.reason != "NOTHING_STORED":
            return [*wrong, f"check: {error.reason}"]
    else:
        wrong += [f"check: {f.field}: {f.reason}: {f.message}" for f in found.faults]
    try:
        node = Node(place.root, place.started, life.clock, life.random_bytes)
    except ExchangeError as error:
        return [*wrong, f"no start: {error.reason}: {error.message}"]
    with node:
        wrong += [f"warning: {w}" for w in node.warnings if _is_news(w, ledger)]
        try:
            for each in (_of_custody, _of_records, _of_agreements):
                wrong += each(node, ledger)
            wrong += _of_log(place, node, ledger)
            wrong += misplaced(node, place, life.random, MISPLACED)
        except ExchangeError as error:
            wrong.append(f"{error.reason}: {error.message}")
    return wrong


def _is_news(warning: str, ledger: Ledger) -> bool:
    """Say whether a warning is of what the loss has done, and must not have."""
    if f"of {JOINING} stay locked" in warning:
        return ledger.joined
    if told := re.search(r"codes of (\w+) in ([\w-]+)", warning):
        holder, space = told.groups()
        # The first codes of a gallery, or the last, of which some files were there.
        is_first = "there is no manifest" in warning
        is_last = ("custody", holder) in ledger.begun
        return not (is_last or (is_first and f"{holder}/{space}" not in ledger.kept))
    # A version of which one file was there and the other was not.
    return not any(
        re.search(rf"\b{holder}\b", warning)
        for what, holder in ledger.begun
        if what == "revision"
    )


def _back(place: Place, ledger: Ledger) -> Iterator[bytes]:
    """Yield what nothing may have any more, and something has."""
    if not ledger.gone:
        return
    for path in (place.root / "data").rglob("*"):
        if path.is_file():
            content = path.read_bytes() + path.name.encode()
            yield from (gone for gone in ledger.gone if gone in content)


def _of_backups(place: Place, ledger: Ledger) -> Iterator[str]:
    """Look for backups that are done, and whether all that have a name are whole."""
    folder = place.root / "backups"
    exchange = FileKeyProvider(place.root / "keys/exchange.key")
    there = {each.name for each in folder.iterdir() if not each.name.startswith(".")}
    wanted = ledger.backups | ({RESTRICTIONS} if ledger.backups else set())
    yield from (f"backup {name} is lost" for name in wanted - there)
    for name in sorted(there):
        try:
            if name == RESTRICTIONS:
                _refuse_changed(folder / name, exchange)
            else:
                _refuse_damaged(folder / name, _read_manifest(folder / name, exchange))
        except ConfigurationError as error:
            yield f"backup {name}: {error.message}"


def _of_custody(node: Node, ledger: Ledger) -> Iterator[str]:
    """Compare whether galleries are open, and open those that are not."""
    for holder in HOLDERS:
        told = str(node.client(holder, "administrator").custody().state)
        thing = ("custody", holder)
        known, after = ledger.custody[holder], ledger.begun.get(thing)
        if told not in {known, after}:
            yield f"{holder} is {told}, not {known}"
            continue
        if after is not None:
            ledger.settle(thing, is_done=told == after)
        if told != "open":
            outcomes = _outcomes(node, holder, [face(unit(NOBODY))])
            right = {"locked": "unavailable", "destroyed": "not-comparable"}[told]
            if outcomes != [right]:
                yield f"{holder} is {told} and answers {outcomes}"
            node.client(holder, "administrator").unlock()
            ledger.custody[holder] = "open"


def _of_records(node: Node, ledger: Ledger) -> Iterator[str]:
    """Compare what is listed and what is found with what was acknowledged."""
    for holder in (*HOLDERS, JOINING) if ledger.joined else HOLDERS:
        listed = {
            Key(holder, r.reference): (r.excluded, r.generation, len(r.templates))
            for r in node.client(holder, "enroller").records()
        }
        for key in [k for k in ledger.begun if isinstance(k, Key)]:
            if key.holder == holder:
                after = ledger.begun[key]
                ledger.settle(key, is_done=listed.get(key) == _seen(after))
        known = {k: _seen(ledger.records[k]) for k in ledger.alive(holder)}
        for key in sorted({*known, *listed}):
            if known.get(key) != listed.get(key):
                yield f"{key} is {listed.get(key)}, not {known.get(key)}"
        if holder in HOLDERS:
            yield from _of_searches(node, ledger, holder)


def _seen(state: object) -> tuple[tuple[str, ...], int, int] | None:
    """Return what a list of records shows of one."""
    if not isinstance(state, State):
        return None
    return state.excluded, state.generation, len(state.people)


def _of_searches(node: Node, ledger: Ledger, holder: str) -> Iterator[str]:
    """Search for those who are there, who are hidden, and who are gone."""
    states = [s for k, s in ledger.records.items() if k.holder == holder and s]
    there = {p: (s, n) for s in states for n, p in enumerate(s.people)}
    known = range(1000, max(there, default=1000) + 4)
    gone = [p for p in known if p not in there][-MOST_GONE:]
    people = [*sorted(there)[-MOST_THERE:], *gone, NOBODY]
    probes = [_probe(p, *there.get(p, (None, 0))) for p in people]
    for person, outcome in zip(people, _outcomes(node, holder, probes), strict=True):
        is_shown = person in there and not there[person][0].excluded
        right = {"match"} if is_shown else {"no-match"}
        if all(state.are_fingers for state in states):  # there may never have been one
            right |= {"not-comparable"}
        if outcome not in right:
            yield f"{person} of {holder} is told as {outcome}, not {right}"


def _probe(person: int, state: State | None, number: int) -> Template:
    """Return a probe of one of a record's templates."""
    if state is None or not state.are_fingers:
        return face(unit(person))
    position = ("right-index", "left-index")[number]
    return Template(space="tiny-finger", position=position, vector=unit(person))


def _outcomes(node: Node, holder: str, probes: list[Template]) -> list[str]:
    """Return what the requester is told of some probes."""
    client = node.client(REQUESTER)
    found = []
    for start in range(0, len(probes), limits.MAX_PROBES_PER_BATCH):
        some = probes[start : start + limits.MAX_PROBES_PER_BATCH]
        told = client.match_many(some, purpose="border-check", holders=[holder])
        found += [str(each.holders[0].outcome) for each in told]
    return found


def _of_agreements(node: Node, ledger: Ledger) -> Iterator[str]:
    """Compare revisions that are in force."""
    rows = {row.holder.code: row for row in node.parts.store.agreements.last()}
    for holder in HOLDERS:
        told = rows[holder].revision if holder in rows else 0
        known = ledger.revisions[holder]
        if told not in {known, ledger.begun.get(("revision", holder), known)}:
            yield f"revision {told} of {holder} is in force, not {known}"


def _of_log(place: Place, node: Node, ledger: Ledger) -> Iterator[str]:
    """Verify the log, from where it was seen last, and every receipt."""
    for member in (REQUESTER, HOLDERS[0]):
        folder = place.logs / member
        answers = ledger.answers if member == REQUESTER else []
        try:
            export_log(node.client(member, "auditor"), folder, None)
        except ExchangeError as error:
            yield f"log of {member}: {error.reason}"
            continue
        found = verify(
            folder,
            VerifierKey.parse((folder / "log.pub").read_text().strip()),
            secret=AuditorSecret.parse(
                (place.root / f"auditors/{member}.key").read_text()
            ),
            receipts=[
                Shown(name=f"receipt {n}", receipt=a.receipt.encode(), answer=a.text)
                for n, a in enumerate(answers)
            ],
        )
        yield from (f"log of {member}: {f.field}: {f.reason}" for f in found.faults)
        if found.receipts != len(answers):
            yield f"{found.receipts} receipts of {len(answers)} hold"
