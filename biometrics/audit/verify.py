"""Verifies an export of the log: offline, with public keys and the member's own.

1. The checkpoint is signed by the log's key.
2. The leaves are as many as it says, and their root is its root.
3. What was seen before is its beginning: nothing was changed, dropped or rolled back.
   So is what witnesses have cosigned, and what others were shown; and of the witnesses
   that the verifier names enough have cosigned, and lately.
4. Every entry of the member's own opens, and is below the leaf that the log has; and
   their numbers are 1, 2, 3 and so on: none is missing, none there twice.
5. Every receipt is signed, its leaf is where it says, and its answer is the one that
   was logged; a receipt of the member's own is of an entry that it was given.

Everything that is wrong is told at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from biometrics.audit.checkpoint import Checkpoint, born_of
from biometrics.audit.entry import read_entry
from biometrics.audit.findings import (
    behind,
    forked,
    kept_proof,
    misnamed,
    other_log,
    rolled_back,
    withheld,
)
from biometrics.audit.leaf import Leaf
from biometrics.audit.misbehaviour import Misbehaviour
from biometrics.audit.pages import CHECKPOINT, COSIGNED, OWN_ENTRIES, SEEN, Pages
from biometrics.audit.quorum import Mark, Wanted, Witnessed
from biometrics.audit.receipt import Receipt
from biometrics.audit.scribe import open_entry
from biometrics.audit.slots import root_by_path
from biometrics.audit.tiles import LeafTiles
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
        witnessed: up to where enough witnesses have cosigned; None if they have not, or
            nobody asked.
        faults: everything that is wrong.
    """

    checkpoint: Checkpoint
    entries: list[Entry] = field(default_factory=list)
    sealed: int = 0
    receipts: int = 0
    witnessed: Witnessed | None = None
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
    wanted: Wanted | None = None,
    others: Mapping[str, bytes] = MappingProxyType({}),
) -> Verified:
    """Verify an export; on success note its checkpoint as the newest that was seen.

    That the log has shown two histories is kept in the folder as a proof.

    Args:
        folder: of the export.
        key: of the log.
        secret: of the member's auditor; without it entries are left out.
        receipts: to be verified against it.
        wanted: which witnesses have to have cosigned it; None to ask for none.
        others: checkpoints that other members were shown, by a name for people.

    Raises:
        ConfigurationError: there is no export, or a file cannot be read.
    """
    pages = Pages(folder)
    # 1. The checkpoint.
    data, found = _begin(pages, key)
    signed = list(_signed(receipts, key, found))
    own = list(_own(pages, found)) if secret else []
    # 2. The leaves. 3. What was seen before, and by others.
    marks = list(_marks(pages, key, others, found))
    kept = {entry.index for entry in own} | {r.index for _, r in signed}
    leaves = _leaves(pages, marks, kept, found)
    _keep_proofs(pages, marks, key, found)
    if wanted is not None:
        _check_quorum(marks, wanted, found)
    # 4. Entries.
    if secret:
        _check_entries(pages, secret, own, leaves, found)
    # 5. Receipts.
    for name, receipt in signed:
        try:
            _check_receipt(receipt, leaves, found)
            _check_own(receipt, secret, own)
        except InvalidRequestError as error:
            found.add(name, error)
        else:
            found.receipts += 1
    if not found.faults:
        pages.write(SEEN, data)
    return found


def _begin(pages: Pages, key: VerifierKey) -> tuple[bytes, Verified]:
    """Return the checkpoint of an export, and a verification that begins with it."""
    data = pages.read(CHECKPOINT)
    if data is None:
        raise ConfigurationError(
            "NO_EXPORT",
            f"`{pages.folder}` has no checkpoint; run `biometrics audit export`",
        )
    try:
        return data, Verified(checkpoint=Checkpoint.parse(data, key))
    except InvalidRequestError as error:
        raise ConfigurationError(
            error.reason, f"`{pages.folder / CHECKPOINT}` {error.message}"
        ) from error


def _marks(
    pages: Pages, key: VerifierKey, others: Mapping[str, bytes], found: Verified
) -> Iterator[Mark]:
    """Yield the checkpoints that the leaves are to be held against."""
    own = ((name, pages.read(name)) for name in (SEEN, *pages.cosigned()))
    for where, note in (*own, *others.items()):
        mark = _mark(where, note, key, found)
        if mark is not None:
            yield mark


def _mark(
    where: str, data: bytes | None, key: VerifierKey, found: Verified
) -> Mark | None:
    """Return a checkpoint that the leaves are to be held against."""
    if data is None:
        return None
    try:
        mark = Mark(where, data, Checkpoint.parse(data, key))
    except InvalidRequestError as error:
        found.add(where, error)
        return None
    origin, size = found.checkpoint.origin, found.checkpoint.size
    if mark.checkpoint.origin != origin:
        found.add(where, other_log(mark.checkpoint.origin, origin))
    elif mark.checkpoint.size <= size:
        return mark
    elif where == SEEN:
        found.add(CHECKPOINT, rolled_back(mark.checkpoint.size, size))
    else:
        found.add(where, behind(mark.checkpoint.size, size))
    return None


def _leaves(
    pages: Pages, marks: Sequence[Mark], wanted: set[int], found: Verified
) -> dict[int, bytes]:
    """Check the leaves against checkpoints; return those that are wanted."""
    kept: dict[int, bytes] = {}
    tree, held = Range(), _Held(found, marks)
    try:
        for index, leaf in enumerate(pages.leaves(found.checkpoint.size)):
            Leaf.parse(leaf)
            if index in wanted:
                kept[index] = leaf
            hashed = leaf_hash(leaf)
            tree.append(hashed)
            held.see(hashed, tree)
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
    elif not held.is_born:
        found.add(CHECKPOINT, misnamed(found.checkpoint.origin))
    return kept


class _Held:
    """Holds a tree that grows against checkpoints, and against the log's name."""

    def __init__(self, found: Verified, marks: Sequence[Mark]) -> None:
        self._found = found
        self._born = born_of(found.checkpoint.origin)
        self._by_size: dict[int, list[Mark]] = defaultdict(list)
        for mark in marks:
            self._by_size[mark.checkpoint.size].append(mark)
        self.is_born = not self._born

    def see(self, hashed: bytes, tree: Range) -> None:
        """Take one more leaf, by its hash and the tree that it makes."""
        if not self.is_born:
            self.is_born = hashed.startswith(self._born)
        for mark in self._by_size.get(tree.size, ()):
            mark.root = tree.root
            if mark.is_forked:
                self._found.add(mark.where, forked(tree.size))


def _keep_proofs(
    pages: Pages, marks: Sequence[Mark], key: VerifierKey, found: Verified
) -> None:
    """Keep the proof that the log has signed two histories, if it has."""
    forks = [mark for mark in marks if mark.is_forked]
    if not forks:
        return
    later = pages.read(CHECKPOINT) or b""
    try:
        hashes = [leaf_hash(leaf) for leaf in pages.leaves(found.checkpoint.size)]
        proofs = [
            Misbehaviour.of(mark.note, later, key, LeafTiles(hashes)) for mark in forks
        ]
    except InvalidRequestError:
        return  # the leaves are not those of the checkpoint, which is told already
    for proof in proofs:
        pages.write(proof.name, proof.data)
        found.add(proof.name, kept_proof())


def _check_quorum(marks: Sequence[Mark], wanted: Wanted, found: Verified) -> None:
    """Note up to where enough witnesses have cosigned, or that they have not."""
    cosigned = []
    for mark in marks:
        times, errors = wanted.cosigners(mark.note)
        for error in errors:
            found.add(mark.where, error)
        if mark.holds:
            cosigned.append((mark.checkpoint, times))
    try:
        found.witnessed = wanted.newest(cosigned)
    except InvalidRequestError as error:
        found.add(COSIGNED, error)


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
                found.add(f"entry below leaf {each.index}", withheld())
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
    receipt: Receipt, leaves: Mapping[int, bytes], found: Verified
) -> None:
    """Refuse a receipt whose leaf is not in the log, or not witnessed yet."""
    checkpoint = found.checkpoint
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
    if found.witnessed and receipt.index >= found.witnessed.checkpoint.size:
        raise InvalidRequestError(
            "NOT_WITNESSED",
            f"leaf {receipt.index} is newer than the"
            f" {found.witnessed.checkpoint.size} leaves that enough witnesses have"
            " cosigned; export again in some minutes",
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
