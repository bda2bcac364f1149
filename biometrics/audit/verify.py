"""Verifies an export of the log: offline, with public keys and the member's own.

1. The checkpoint is signed by the log's key.
2. The leaves are as many as it says, and their root is its root.
3. What was seen before is its beginning: nothing was changed, dropped or rolled back.
4. Every entry of the member's own opens, and is below the leaf that the log has; and
   their numbers are 1, 2, 3 and so on: none is missing, none there twice.
5. Every receipt is signed, its leaf is where it says, and its answer is the one that
   was logged; a receipt of the member's own is of an entry that it was given.

Everything that is wrong is told at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from biometrics.audit.checkpoint import Checkpoint
from biometrics.audit.entry import read_entry
from biometrics.audit.leaf import Leaf
from biometrics.audit.pages import CHECKPOINT, OWN_ENTRIES, SEEN, Pages
from biometrics.audit.receipt import Receipt
from biometrics.audit.scribe import open_entry
from biometrics.audit.slots import root_by_path
from biometrics.audit.tree import Range, leaf_hash
from biometrics.errors import ConfigurationError, Fault, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from biometrics.audit.auditor import AuditorSecret
    from biometrics.audit.entry import Entry
    from biometrics.audit.pages import OwnEntry
    from biometrics.signing import VerifierKey

_MOST_GAPS: Final = 20  # told one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A receipt that somebody shows.

    Attributes:
        name: for people.
        receipt: itself.
        answer: the text of the answer that it is of, or None.
    """

    name: str
    receipt: bytes
    answer: str | None


@dataclass(slots=True)
class Verified:
    """What a verification found.

    Attributes:
        checkpoint: of the export.
        entries: of the member's own, opened, in their order.
        sealed: how many of the member's own nobody can open.
        receipts: how many hold.
        faults: everything that is wrong.
    """

    checkpoint: Checkpoint
    entries: list[Entry] = field(default_factory=list)
    sealed: int = 0
    receipts: int = 0
    faults: list[Fault] = field(default_factory=list)

    def add(self, where: str, error: InvalidRequestError) -> None:
        """Note what is wrong."""
        self.faults.append(
            Fault(field=where, reason=error.reason, message=error.message)
        )


def verify(
    folder: Path,
    key: VerifierKey,
    *,
    secret: AuditorSecret | None = None,
    receipts: Sequence[Shown] = (),
) -> Verified:
    """Verify an export; on success note its checkpoint as the newest that was seen.

    Args:
        folder: of the export.
        key: of the log.
        secret: of the member's auditor; without it entries are left out.
        receipts: to be verified against it.

    Raises:
        ConfigurationError: there is no export, or a file cannot be read.
    """
    pages = Pages(folder)
    # 1. The checkpoint.
    data = pages.read(CHECKPOINT)
    if data is None:
        raise ConfigurationError(
            "NO_EXPORT", f"`{folder}` has no checkpoint; run `biometrics audit export`"
        )
    try:
        found = Verified(checkpoint=Checkpoint.parse(data, key))
    except InvalidRequestError as error:
        raise ConfigurationError(
            error.reason, f"`{folder / CHECKPOINT}` {error.message}"
        ) from error
    seen = _seen(pages, key, found)
    shown = list(_signed(receipts, key, found))
    own = list(_own(pages, found)) if secret else []
    # 2. The leaves. 3. What was seen before.
    wanted = {entry.index for entry in own} | {r.index for _, r in shown}
    leaves = _leaves(pages, seen, wanted, found)
    # 4. Entries.
    if secret:
        _check_entries(pages, secret, own, leaves, found)
    # 5. Receipts.
    for name, receipt in shown:
        try:
            _check_receipt(receipt, leaves, found.checkpoint)
            _check_own(receipt, secret, own)
        except InvalidRequestError as error:
            found.add(name, error)
        else:
            found.receipts += 1
    if not found.faults:
        pages.write(SEEN, data)
    return found


def _seen(pages: Pages, key: VerifierKey, found: Verified) -> Checkpoint | None:
    """Return the newest checkpoint that was verified before."""
    data = pages.read(SEEN)
    if data is None:
        return None
    try:
        seen = Checkpoint.parse(data, key)
    except InvalidRequestError as error:
        found.add(SEEN, error)
        return None
    if seen.origin != found.checkpoint.origin:
        found.add(SEEN, other_log(seen.origin, found.checkpoint.origin))
        return None
    if seen.size > found.checkpoint.size:
        found.add(CHECKPOINT, rolled_back(seen.size, found.checkpoint.size))
        return None
    return seen


def _leaves(
    pages: Pages, seen: Checkpoint | None, wanted: set[int], found: Verified
) -> dict[int, bytes]:
    """Check the leaves against both checkpoints; return those that are wanted."""
    kept: dict[int, bytes] = {}
    tree = Range()
    try:
        for index, leaf in enumerate(pages.leaves(found.checkpoint.size)):
            Leaf.parse(leaf)
            if index in wanted:
                kept[index] = leaf
            tree.append(leaf_hash(leaf))
            if seen is not None and tree.size == seen.size and tree.root != seen.root:
                found.add(SEEN, forked(seen.size))
    except InvalidRequestError as error:
        found.add(f"leaf {tree.size}", error)
        return kept
    if tree.root != found.checkpoint.root:
        found.add(
            CHECKPOINT,
            InvalidRequestError(
                "WRONG_ROOT",
                "its root is not that of the leaves: some were changed, dropped, added"
                " or moved",
            ),
        )
    return kept


def _own(pages: Pages, found: Verified) -> Iterator[OwnEntry]:
    """Yield the member's own entries, as far as they can be read."""
    if not pages.has_own_entries():
        told = f"`{OWN_ENTRIES}` is missing: the export is not whole"
        found.add("own entries", InvalidRequestError("DAMAGED_PAGE", told))
    try:
        yield from pages.own_entries()
    except InvalidRequestError as error:
        found.add("own entries", error)


def _check_entries(  # noqa: PLR0917 - what goes with the entries
    pages: Pages,
    secret: AuditorSecret,
    own: Sequence[OwnEntry],
    leaves: Mapping[int, bytes],
    found: Verified,
) -> None:
    """Open the member's own entries, and look for gaps."""
    keys: dict[bytes, bytes] = {}
    try:
        for key in pages.own_keys():
            keys[key.key_id] = (
                secret.open(key.handed, key.key_id) if key.handed else b""
            )
    except InvalidRequestError as error:
        found.add("own keys", error)
    for each in own:
        if keys.get(each.key_id) == b"":
            found.sealed += 1
            if found.entries:
                found.add(f"entry below leaf {each.index}", _withheld())
            continue
        try:
            entry = _opened(each, secret, keys, leaves)
        except InvalidRequestError as error:
            found.add(f"entry below leaf {each.index}", error)
        else:
            found.entries.append(entry)
    _check_sequence([entry.sequence for entry in found.entries], found)


def _opened(
    each: OwnEntry,
    secret: AuditorSecret,
    keys: Mapping[bytes, bytes],
    leaves: Mapping[int, bytes],
) -> Entry:
    """Return an entry that is below the leaf that the log has."""
    if each.key_id not in keys:
        raise InvalidRequestError(
            "KEY_MISSING", "the key that it is sealed by was never handed over"
        )
    data = open_entry(secret.member, keys[each.key_id], each.sealed)
    entry, _ = read_entry(data)
    leaf = Leaf(entry.hour, root_by_path(leaf_hash(data), each.slot, each.path))
    if entry["member"] != secret.member.code or leaves.get(each.index) != leaf.data:
        raise InvalidRequestError("NOT_INCLUDED", "the log has another leaf there")
    return entry


def _check_sequence(numbers: Sequence[int], found: Verified) -> None:
    """Note numbers that are missing, there twice, or out of their order."""
    counts = Counter(numbers)
    highest = max(counts, default=0)
    wrong = [f"number {n} is there {c} times" for n, c in counts.items() if c > 1]
    # What nobody can open has numbers too: so many may be missing, and no more.
    if highest - len(counts) > found.sealed:
        missing = (n for n in range(1, highest) if n not in counts)
        wrong += [f"number {n} is missing" for n in islice(missing, _MOST_GAPS)]
    if not wrong and list(numbers) != sorted(numbers):
        wrong.append("the numbers are not in the order of the leaves")
    for told in wrong[:_MOST_GAPS]:
        found.add("sequence", InvalidRequestError("SEQUENCE_BROKEN", told))


def _signed(
    receipts: Sequence[Shown], key: VerifierKey, found: Verified
) -> Iterator[tuple[str, Receipt]]:
    """Yield the receipts that are signed and go with their answers."""
    for shown in receipts:
        try:
            receipt = Receipt.parse(shown.receipt, key)
            if shown.answer is not None:
                receipt.check_answer(shown.answer)
        except InvalidRequestError as error:
            found.add(shown.name, error)
        else:
            yield shown.name, receipt


def _check_receipt(
    receipt: Receipt, leaves: Mapping[int, bytes], checkpoint: Checkpoint
) -> None:
    """Refuse a receipt whose leaf is not in the log."""
    if receipt.origin != checkpoint.origin:
        raise other_log(receipt.origin, checkpoint.origin)
    if receipt.index >= checkpoint.size:
        raise InvalidRequestError(
            "CHECKPOINT_BEHIND",
            f"leaf {receipt.index} is not in the export yet, which has"
            f" {checkpoint.size}; export again. If the exchange has no more, it broke"
            " its promise: keep the receipt",
        )
    if leaves.get(receipt.index) != receipt.leaf.data:
        raise InvalidRequestError(
            "NOT_INCLUDED",
            f"the log has another leaf at {receipt.index}: the exchange broke its"
            " promise, keep the receipt and the checkpoint",
        )


def _check_own(
    receipt: Receipt, secret: AuditorSecret | None, own: Sequence[OwnEntry]
) -> None:
    """Refuse a receipt of the member's own whose entry it was not given.

    Those that come last in an export can be kept back without leaving a gap.
    """
    if secret is None or receipt.entry["member"] != secret.member.code:
        return
    if all(each.index != receipt.index for each in own):
        raise InvalidRequestError(
            "ENTRY_MISSING",
            f"your own entry below leaf {receipt.index}, of which this is the receipt,"
            " is not in the export: the exchange kept it back",
        )


def _withheld() -> InvalidRequestError:
    """Return the error of an entry whose key nobody got, behind others that open.

    What is sealed to nobody fills a gap, whatever is in it.
    """
    return InvalidRequestError(
        "KEY_WITHHELD",
        "it is sealed to nobody, and entries before it were to your auditor: the"
        " exchange no longer has your auditor's key, or hides an entry; ask",
    )


def other_log(one: str, other: str) -> InvalidRequestError:
    """Return the error of what is of two logs."""
    return InvalidRequestError(
        "OTHER_LOG",
        f"`{one}` and `{other}` are two logs. A number at the end says that the"
        " exchange was restored from a backup, and began another log with what that"
        " had: keep both exports, and ask for what became of the rest",
    )


def rolled_back(seen: int, size: int) -> InvalidRequestError:
    """Return the error of a log that has grown smaller."""
    return InvalidRequestError(
        "ROLLED_BACK",
        f"{seen} leaves were seen, and now there are {size}: the log was rolled back;"
        " keep both checkpoints, which prove it",
    )


def forked(size: int) -> InvalidRequestError:
    """Return the error of a log that has another beginning."""
    return InvalidRequestError(
        "FORKED",
        f"the first {size} leaves have another root than was seen: the log shows"
        " different histories; keep both checkpoints, which prove it",
    )
