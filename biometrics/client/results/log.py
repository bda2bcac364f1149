"""What the log has."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """The newest checkpoint of the log.

    Attributes:
        note: itself, signed.
        verifier_key: by which the exchange says that it is to be checked.
        offered: the one that witnesses are to cosign.
        cosigned: those that were, signed and cosigned, the largest first.
    """

    note: bytes
    verifier_key: str
    offered: bytes
    cosigned: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEntryInfo:
    """An entry of the log of one's own, sealed to one's auditor.

    Attributes:
        leaf_index: number of the leaf that it is below.
        slot: where it stands there.
        path: from there to the root of the leaf.
        key_id: which key it is sealed by.
        sealed: itself.
    """

    leaf_index: int
    slot: int
    path: tuple[bytes, ...] = field(repr=False)
    key_id: bytes
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryKeyInfo:
    """A key of entries of one's own.

    Attributes:
        key_id: by which entries name it.
        hour: since 1970, in which it sealed.
        handed: the key, sealed to one's auditor; empty if to nobody.
    """

    key_id: bytes
    hour: int
    handed: bytes = field(repr=False)
