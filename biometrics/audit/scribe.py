"""Writes what happened as a leaf, and seals what each member is told of it.

Entries are sealed by AES-256-GCM under a key per member and hour. The key is handed to
the member's auditor by HPKE once, and forgotten at the end of the hour or of the
process: from then on nobody but the auditor opens what it sealed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from biometrics.audit.entry import (
    BLIND_BYTES,
    ENTRY_BYTES,
    Entry,
    Mention,
    root_of_items,
)
from biometrics.audit.leaf import Leaf
from biometrics.audit.slots import SEED_BYTES, SlotTree, draw_slots
from biometrics.audit.tree import HASH_BYTES, leaf_hash
from biometrics.errors import DefectError, InvalidRequestError
from biometrics.members import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from biometrics.audit.auditor import AuditorKey

KEY_ID_BYTES: Final = 8
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_SLOT_BYTES: Final = 2
_CODE_BYTES: Final = 8
SEALED_BYTES: Final = _NONCE_BYTES + ENTRY_BYTES + _TAG_BYTES
_CONTEXT: Final = b"biometrics.exchange log entry 1 "
_RANDOM_BYTES: Final = _SLOT_BYTES * 2 + BLIND_BYTES + _NONCE_BYTES  # of one entry


@dataclass(frozen=True, slots=True)
class HandedKey:
    """A key of entries, as its auditor gets it.

    Attributes:
        key_id: 8 random bytes.
        member: whose auditor.
        hour: in which it seals.
        handed: sealed to the auditor; empty where the member has named none.
    """

    key_id: bytes
    member: Member
    hour: int
    handed: bytes = field(repr=False)


class Part(NamedTuple):
    """An entry as it is kept: sealed, with its place below the leaf."""

    member: Member
    key_id: bytes
    slot: int
    hash: bytes
    sealed: bytes

    @property
    def data(self) -> bytes:
        """The part as `read_record` reads it."""
        return b"".join(
            (
                self.member.code.encode().ljust(_CODE_BYTES, b"\0"),
                self.key_id,
                self.slot.to_bytes(_SLOT_BYTES, "big"),
                self.hash,
                self.sealed,
            )
        )


_PART_BYTES: Final = (
    _CODE_BYTES + KEY_ID_BYTES + _SLOT_BYTES + HASH_BYTES + SEALED_BYTES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A leaf with all that belongs to it.

    Attributes:
        leaf: its public part.
        record: what is kept of its entries.
        keys: by which they were sealed.
        entry: what the first member that was mentioned is told.
        blind: of that entry.
        slot: of that entry.
        path: from there to the root of the leaf.
    """

    leaf: Leaf
    record: bytes = field(repr=False)
    keys: tuple[HandedKey, ...]
    entry: Entry
    blind: bytes = field(repr=False)
    slot: int
    path: list[bytes] = field(repr=False)


class Scribe:
    """Writes leaves; of one thread."""

    def __init__(
        self,
        auditors: Mapping[Member, AuditorKey],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Hand keys of entries to `auditors`; what others are told nobody opens."""
        self._auditors = auditors
        self._random_bytes = random_bytes
        self._keys: dict[Member, tuple[HandedKey, AESGCM]] = {}

    def write(
        self, mentions: Sequence[Mention], sequences: Sequence[int], hour: int
    ) -> Written:
        """Return the leaf of what happened.

        Args:
            mentions: what each member is told; one or more.
            sequences: the number of each.
            hour: in which it happened.
        """
        randomness = memoryview(
            self._random_bytes(SEED_BYTES + len(mentions) * _RANDOM_BYTES)
        )
        seed, rest = bytes(randomness[:SEED_BYTES]), randomness[SEED_BYTES:]
        slots = draw_slots(len(mentions), bytes(rest))
        rest = rest[2 * _SLOT_BYTES * len(mentions) :]
        whats: dict[tuple[bytes, ...], bytes] = {}
        entries, blinds, parts, keys = [], [], [], []
        for mention, sequence, slot in zip(mentions, sequences, slots, strict=True):
            if mention.items not in whats:
                whats[mention.items] = root_of_items(mention.items)
            entry = Entry.of(mention, sequence, hour, whats[mention.items])
            blind, nonce = bytes(rest[:BLIND_BYTES]), bytes(rest[BLIND_BYTES:])
            nonce, rest = nonce[:_NONCE_BYTES], rest[BLIND_BYTES + _NONCE_BYTES :]
            data = entry.data(blind)
            key, cipher = self._key(mention.member, hour)
            sealed = nonce + cipher.encrypt(nonce, data, _context(mention.member))
            entries.append(entry)
            blinds.append(blind)
            keys.append(key)
            parts.append(
                Part(mention.member, key.key_id, slot, leaf_hash(data), sealed)
            )
        tree = SlotTree({part.slot: part.hash for part in parts}, seed)
        return Written(
            leaf=Leaf(hour, tree.root),
            record=seed + b"".join(part.data for part in parts),
            keys=tuple(keys),
            entry=entries[0],
            blind=blinds[0],
            slot=slots[0],
            path=tree.path(slots[0]),
        )

    def _key(self, member: Member, hour: int) -> tuple[HandedKey, AESGCM]:
        """Return the key that entries of a member are sealed by in an hour."""
        found = self._keys.get(member)
        if found is None or found[0].hour != hour:
            key_id, secret = (
                self._random_bytes(KEY_ID_BYTES),
                self._random_bytes(_KEY_BYTES),
            )
            auditor = self._auditors.get(member)
            handed = b"" if auditor is None else auditor.seal(secret, key_id)
            found = HandedKey(key_id, member, hour, handed), AESGCM(secret)
            self._keys[member] = found
        return found


def read_record(record: bytes) -> tuple[bytes, list[Part]]:
    """Return the seed of a leaf, and the parts below it.

    Raises:
        DefectError: it is no record.
    """
    parts = list(_parts(record))
    if not parts or len(record) != SEED_BYTES + len(parts) * _PART_BYTES:
        raise DefectError(
            "LOG_DAMAGED",
            "what is kept of a leaf of the log is damaged; restore the database from a"
            " backup",
        )
    return record[:SEED_BYTES], parts


def _parts(record: bytes) -> Iterator[Part]:
    """Yield the parts of a record that are whole."""
    for start in range(SEED_BYTES, len(record) - _PART_BYTES + 1, _PART_BYTES):
        data = record[start : start + _PART_BYTES]
        code, rest = data[:_CODE_BYTES], data[_CODE_BYTES:]
        key_id, rest = rest[:KEY_ID_BYTES], rest[KEY_ID_BYTES:]
        slot, rest = rest[:_SLOT_BYTES], rest[_SLOT_BYTES:]
        try:
            member = Member(code.rstrip(b"\0").decode())
        except (UnicodeDecodeError, InvalidRequestError):
            return
        yield Part(
            member,
            key_id,
            int.from_bytes(slot, "big"),
            rest[:HASH_BYTES],
            rest[HASH_BYTES:],
        )


def slot_tree(record: bytes) -> SlotTree:
    """Return the tree below a leaf, from what is kept of it.

    Raises:
        DefectError: it is no record.
    """
    seed, parts = read_record(record)
    return SlotTree({part.slot: part.hash for part in parts}, seed)


def open_entry(member: Member, secret: bytes, sealed: bytes) -> bytes:
    """Return what `Entry.data` returned, from a part.

    Raises:
        InvalidRequestError: it was sealed by another key or for another member, or is
            damaged.
    """
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(secret).decrypt(nonce, ciphertext, _context(member))
    except (InvalidTag, ValueError) as error:
        raise InvalidRequestError(
            "ENTRY_NOT_OPENED", "an entry of the log does not open: it is damaged"
        ) from error


def _context(member: Member) -> bytes:
    """Return what an entry is sealed for."""
    return _CONTEXT + member.code.encode()
