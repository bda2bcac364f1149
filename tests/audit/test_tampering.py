"""Whatever is done to a log shows offline, to both verifiers."""

from __future__ import annotations

import base64
import datetime as dt
import json
import secrets
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from audit.small_log import NAME, XAA, XBB, XCC, SmallLog, sign

from biometrics.audit import Leaf, standalone
from biometrics.audit.pages import CHECKPOINT, OWN_ENTRIES, OWN_KEYS, SEEN, Pages
from biometrics.audit.tree import Range, leaf_hash, root
from biometrics.audit.verify import Shown, Verified, verify
from biometrics.errors import ConfigurationError
from biometrics.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LEAVES = 300  # of forks
FLIPS = 60


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLog]:
    """A log of 264 leaves over two hours: a full tile and some more."""
    log = SmallLog(tmp_path_factory.mktemp("log"))
    for number in range(260):
        log.answer(f"regional no-match\nnumber {number}\n")
        if number == 130:
            log.clock.advance(dt.timedelta(hours=1))
    log.answer("regional match\n", "regional no-match\n", "regional match\n")
    log.answer("regional no-match\n", holders=())
    log.answer("regional no-match\n", holders=(XCC,))
    log.answer("regional no-match\n", holders=(XAA,))
    yield log
    log.store.close()


@pytest.fixture
def export(log: SmallLog, tmp_path: Path) -> Path:
    """Return what XBB's auditor has of it."""
    return log.export(tmp_path / "export", XBB)


def reasons(found: Verified) -> set[str]:
    """Return what is wrong."""
    return {fault.reason for fault in found.faults}


def check(log: SmallLog, export: Path, *receipts: Path) -> set[str]:
    """Return what our verifier finds wrong; the other one must agree that it is."""
    shown = []
    for path in receipts:
        document = json.loads(path.read_text())
        shown.append(
            Shown(
                name=path.name,
                receipt=document["receipt"].encode(),
                answer=document["answer"],
            )
        )
    key, secret = log.key.verifier, log.secrets[XBB]
    other = ""
    try:
        standalone.verify(export, key.text, secret.text, list(receipts))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not `ok`
        other = type(error).__name__
    try:
        found = reasons(verify(export, key, secret=secret, receipts=shown))
    except ConfigurationError as error:
        found = {error.reason}
    assert bool(found) == bool(other), (found, other)
    return found


def test_an_export_is_as_it_must_be(log: SmallLog, export: Path) -> None:
    """Every entry opens, numbers have no gap, every receipt is kept."""
    assert check(log, export, *log.receipts) == set()
    found = verify(export, log.key.verifier, secret=log.secrets[XBB])
    assert [entry.sequence for entry in found.entries] == list(range(1, 265))
    assert {entry["kind"] for entry in found.entries} == {"search"}
    assert Pages(export).read(SEEN) == Pages(export).read(CHECKPOINT)
    told = verify(
        log.export(export.with_name("xaa"), XAA),
        log.key.verifier,
        secret=log.secrets[XAA],
    )
    assert told.faults == []
    assert [entry.sequence for entry in told.entries] == list(range(1, 263))
    assert {entry["with"] for entry in told.entries} == {"XBB"}


def test_every_flipped_bit_is_found(log: SmallLog, export: Path) -> None:
    """In leaves, own entries, their keys, the checkpoint and receipts."""
    random = np.random.default_rng(3)
    sound = export.with_name("sound")
    shutil.copytree(export, sound)
    names = ("tile/entries/000", "tile/entries/001.p/8", CHECKPOINT)
    for name in (*names, OWN_ENTRIES, OWN_KEYS):
        data = (sound / name).read_bytes()
        for place in random.integers(0, len(data), FLIPS // 5):
            broken = bytearray(data)
            broken[place] ^= 1 << int(random.integers(8))
            (export / name).write_bytes(broken)
            assert check(log, export), (name, place)
        (export / name).write_bytes(data)
        (export / SEEN).unlink(missing_ok=True)
    assert check(log, export) == set()


def test_every_flipped_bit_of_a_receipt_is_found(log: SmallLog, export: Path) -> None:
    """But for what fills it up, which says nothing."""
    random = np.random.default_rng(4)
    path = export.with_name("receipt.json")
    for sound in (log.receipts[5], log.receipts[261]):
        document = json.loads(sound.read_text())
        for part in ("answer", "receipt"):
            data = document[part].encode()
            filler = range(data.find(b"filler"), data.find(b"\n\n"))
            for place in random.integers(0, len(data), FLIPS // 2):
                broken = bytearray(data)
                broken[place] ^= 1 << int(random.integers(7))
                if part == "receipt" and place in filler:
                    continue
                text = broken.decode(errors="replace")
                path.write_text(json.dumps(document | {part: text}))
                assert check(log, export, path), (part, place, chr(data[place]))


def rewrite(change: Callable[[list[bytes]], None]) -> Callable[[Path], None]:
    """Return what writes the leaves of an export anew, changed."""

    def tamper(export: Path) -> None:
        pages = Pages(export)
        leaves = [*pages.bundle(0, 256), *pages.bundle(1, 8)]
        change(leaves)
        shutil.rmtree(export / "tile")
        pages.add_leaves(0, leaves)

    return tamper


def own(change: Callable[[list[str]], None]) -> Callable[[Path], None]:
    """Return what writes the own entries of an export anew, changed."""

    def tamper(export: Path) -> None:
        lines = (export / OWN_ENTRIES).read_text().splitlines()
        change(lines)
        (export / OWN_ENTRIES).write_text("".join(f"{line}\n" for line in lines))

    return tamper


def swap(items: list[bytes]) -> None:
    """Give two leaves each other's place."""
    items[3], items[4] = items[4], items[3]


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (rewrite(lambda leaves: leaves.pop()), "DAMAGED_PAGE"),
        (rewrite(lambda leaves: leaves.__delitem__(7)), "DAMAGED_PAGE"),
        (rewrite(lambda leaves: leaves.insert(7, leaves[7])), "DAMAGED_PAGE"),
        (rewrite(swap), "WRONG_ROOT"),
        (rewrite(list.reverse), "WRONG_ROOT"),
        (rewrite(lambda leaves: leaves.__setitem__(9, leaves[8])), "WRONG_ROOT"),
        (own(lambda lines: lines.__delitem__(7)), "SEQUENCE_BROKEN"),
        (own(lambda lines: lines.append(lines[7])), "SEQUENCE_BROKEN"),
        (own(list.reverse), "SEQUENCE_BROKEN"),
        (own(lambda lines: lines.__setitem__(7, lines[8])), "SEQUENCE_BROKEN"),
        (lambda export: (export / OWN_KEYS).write_text(""), "KEY_MISSING"),
        (lambda export: (export / "tile/entries/000").unlink(), "DAMAGED_PAGE"),
        (lambda export: (export / CHECKPOINT).unlink(), "NO_EXPORT"),
        (lambda export: (export / CHECKPOINT).write_bytes(b"?"), "NOT_A_NOTE"),
    ],
)
def test_what_is_dropped_doubled_or_moved_is_found(
    log: SmallLog, export: Path, tamper: Callable[[Path], None], reason: str
) -> None:
    """Leaves, entries and keys; each by a reason of its own."""
    tamper(export)
    assert reason in check(log, export)


@pytest.mark.parametrize("name", [OWN_ENTRIES, OWN_KEYS])
@pytest.mark.parametrize(
    "line",
    [
        '{"leaf": 1e999, "key": "00", "hour": 1e999, "slot": 0, "path": []}',
        "[" * 200_000,
        "[]",
        "null",
        '{"leaf": 0, "slot": 0, "path": null, "key": {}, "sealed": 1}',
    ],
)
def test_a_line_that_is_none_is_told_and_ends_no_verifier(
    log: SmallLog,
    export: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    name: str,
    line: str,
) -> None:
    """Whatever an exchange has served: infinite numbers, endless brackets."""
    (export / name).write_text(f"{line}\n")
    assert "DAMAGED_PAGE" in check(log, export)
    secret = export.with_name("secret")
    secret.write_text(log.secrets[XBB].text)
    monkeypatch.setattr("sys.argv", ["-", str(export), "--secret", str(secret)])
    assert standalone.main() == 1


def test_an_export_without_own_entries_is_not_whole(
    log: SmallLog, export: Path
) -> None:
    """To have none is told by a file that is empty."""
    (export / OWN_ENTRIES).unlink()
    assert check(log, export) == {"DAMAGED_PAGE"}


def test_an_entry_is_below_a_leaf_that_there_is(log: SmallLog, export: Path) -> None:
    """Leaves are not counted from the end."""

    def back(lines: list[str]) -> None:
        line = json.loads(lines[-1])
        lines[-1] = json.dumps(line | {"leaf": -1 - (263 - line["leaf"])})

    own(back)(export)
    assert "NOT_INCLUDED" in check(log, export)


def test_an_answer_that_is_no_text_is_another(log: SmallLog, export: Path) -> None:
    """Half a character, as JSON can write it."""
    sound = json.loads(log.receipts[5].read_text())
    path = export.with_name("half.json")
    path.write_text(json.dumps(sound | {"answer": "\ud800"}))
    assert check(log, export, path) == {"OTHER_ANSWER"}


def test_a_log_that_is_rolled_back_is_found(log: SmallLog, export: Path) -> None:
    """A checkpoint of before, signed by the log's own key, is smaller than was seen."""
    assert check(log, export) == set()
    pages = Pages(export)
    leaves = list(pages.leaves(200))
    pages.write(CHECKPOINT, sign(log.key, leaves, root([*map(leaf_hash, leaves)])))
    assert "ROLLED_BACK" in check(log, export)


def test_a_fork_at_every_size_is_found(tmp_path: Path) -> None:
    """Two histories that part anywhere: whoever saw the one refuses the other."""
    key = SigningKey.generate(NAME, secrets.token_bytes)
    leaves = [Leaf(number, secrets.token_bytes(32)).data for number in range(LEAVES)]
    pages, seen = Pages(tmp_path), Range()
    pages.add_leaves(0, leaves)
    whole = sign(key, leaves, root([leaf_hash(leaf) for leaf in leaves]))
    pages.write(CHECKPOINT, whole)
    for size in range(1, LEAVES + 1):
        forked = Range()
        forked.hashes, forked.size = list(seen.hashes), seen.size
        forked.append(secrets.token_bytes(32))
        seen.append(leaf_hash(leaves[size - 1]))
        pages.write(SEEN, sign(key, leaves[:size], forked.root))
        assert "FORKED" in reasons(verify(tmp_path, key.verifier)), size
        with pytest.raises(standalone.WrongError, match="another history"):
            standalone.verify(tmp_path, key.verifier.text, None, [])
        pages.write(SEEN, sign(key, leaves[:size], seen.root))
        assert verify(tmp_path, key.verifier).faults == []


def test_what_is_of_another_log_is_refused(
    log: SmallLog, export: Path, tmp_path: Path
) -> None:
    """By another key, and by a restored exchange of the same."""
    other = SmallLog(tmp_path)
    other.answer("regional no-match\n")
    foreign = other.receipts[0]
    other.store.close()
    assert check(log, export, foreign) == {"NOT_SIGNED"}
    pages = Pages(export)
    assert check(log, export) == set()
    data = pages.read(CHECKPOINT)
    assert data is not None
    text = data.decode().partition("\n\n")[0].replace(NAME, f"{NAME}.2") + "\n"
    signature = log.key.sign(text).line
    pages.write(CHECKPOINT, f"{text}\n{signature}".encode())
    assert check(log, export, log.receipts[0]) == {"OTHER_LOG"}
    text = text.replace(f"{NAME}.2", "elsewhere.test/log")
    signature = log.key.sign(text).line
    pages.write(CHECKPOINT, f"{text}\n{signature}".encode())
    assert check(log, export) == {"FOREIGN_LOG"}


def test_a_receipt_that_is_not_kept_is_told_from_one_that_is_newer(
    log: SmallLog, export: Path
) -> None:
    """An old export does not have it yet; a broken promise is one."""
    pages = Pages(export)
    leaves = list(pages.leaves(264))
    (export / OWN_ENTRIES).unlink()
    pages.write(CHECKPOINT, sign(log.key, leaves[:5], root_of(leaves[:5])))
    assert check_receipt(log, export, log.receipts[5]) == {"CHECKPOINT_BEHIND"}
    leaves[5] = leaves[6]
    shutil.rmtree(export / "tile")
    pages.add_leaves(0, leaves)
    pages.write(CHECKPOINT, sign(log.key, leaves, root_of(leaves)))
    (export / SEEN).unlink(missing_ok=True)
    assert check_receipt(log, export, log.receipts[5]) == {"NOT_INCLUDED"}
    assert check_receipt(log, export, log.receipts[6]) == set()


def root_of(leaves: list[bytes]) -> bytes:
    """Return the root over leaves."""
    return root([leaf_hash(leaf) for leaf in leaves])


def check_receipt(log: SmallLog, export: Path, path: Path) -> set[str]:
    """Return what is wrong where no entries of one's own are looked at."""
    document = json.loads(path.read_text())
    shown = Shown(
        name="receipt", receipt=document["receipt"].encode(), answer=document["answer"]
    )
    return reasons(verify(export, log.key.verifier, receipts=[shown]))


def test_the_answer_of_another_receipt_is_refused(log: SmallLog, export: Path) -> None:
    """Of the same request too: a match is not shown for a no-match."""
    match, none = (json.loads(log.receipts[n].read_text()) for n in (260, 261))
    assert match["answer"] != none["answer"]
    path = export.with_name("swapped.json")
    path.write_text(json.dumps(match | {"answer": none["answer"]}))
    assert check(log, export, path) == {"OTHER_ANSWER"}
    head = none["receipt"].partition("\n\n")[0]
    note = match["receipt"].partition("\n\n")[2]
    path.write_text(
        json.dumps({"answer": none["answer"], "receipt": f"{head}\n\n{note}"})
    )
    assert check(log, export, path) == set()  # of one request they share the note


def test_an_answer_is_shown_whole(log: SmallLog, export: Path) -> None:
    """Its end is not moved into the opening, behind which it would hash alike."""
    sound = json.loads(log.receipts[5].read_text())
    kept, cut = "regional no-match\n", "number 5\n"
    assert sound["answer"] == kept + cut
    head, _, note = sound["receipt"].partition("\n\n")
    opening = head.split("\n")[1].removeprefix("opening ")
    longer = base64.b64encode(cut.encode() + base64.b64decode(opening)).decode()
    path = export.with_name("cut.json")
    forged = f"{head.replace(opening, longer)}\n\n{note}"
    path.write_text(json.dumps({"answer": kept, "receipt": forged}))
    assert check(log, export, path) == {"NOT_A_RECEIPT"}


def test_an_answer_keeps_its_number_in_its_request(log: SmallLog, export: Path) -> None:
    """The last of three stands where the last of two would stand."""
    sound = json.loads(log.receipts[262].read_text())
    assert sound["receipt"].startswith("answer 2 of 3\n")
    path = export.with_name("renumbered.json")
    forged = sound["receipt"].replace("answer 2 of 3\n", "answer 1 of 2\n", 1)
    path.write_text(json.dumps(sound | {"receipt": forged}))
    assert check(log, export, path) == {"NOT_A_RECEIPT"}


def test_entries_that_are_sealed_to_nobody_are_counted(
    log: SmallLog, tmp_path: Path
) -> None:
    """XCC has named no auditor: nobody opens its entries, and that is no fault."""
    found = verify(
        log.export(tmp_path / "xcc", XCC),
        log.key.verifier,
        secret=log.secrets[XAA].generate(XCC, secrets.token_bytes),
    )
    assert (found.faults, found.entries, found.sealed) == ([], [], 262)


def test_what_is_kept_back_at_the_end_shows_by_its_receipt(
    log: SmallLog, export: Path
) -> None:
    """No number is missing in front of it."""
    own(lambda lines: lines.pop())(export)
    assert check(log, export, log.receipts[-2]) == set()
    assert check(log, export, log.receipts[-1]) == {"ENTRY_MISSING"}


def test_nothing_is_hidden_behind_what_is_sealed_to_nobody(
    log: SmallLog, export: Path
) -> None:
    """An entry that was made up fills the gap of one that was dropped."""
    lines = (export / OWN_ENTRIES).read_text().splitlines()
    lines[7] = json.dumps(json.loads(lines[7]) | {"key": "00" * 8})
    (export / OWN_ENTRIES).write_text("".join(f"{line}\n" for line in lines))
    with (export / OWN_KEYS).open("a") as file:
        file.write(json.dumps({"key": "00" * 8, "hour": 0, "handed": ""}) + "\n")
    assert check(log, export) == {"KEY_WITHHELD"}


def test_another_auditors_key_opens_nothing(log: SmallLog, export: Path) -> None:
    """A key that was handed to XBB does not open by XAA's."""
    found = verify(export, log.key.verifier, secret=log.secrets[XAA])
    assert "KEY_NOT_OPENED" in reasons(found)
    assert found.entries == []
