"""Sealed values as they are stored, and what they are bound to.

A leaf that custody (which seals), the store (which keeps) and the slices (which
carry) share without knowing one another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from biometrics import limits
from biometrics.errors import GalleryLockedError

if TYPE_CHECKING:
    import datetime as dt

    from biometrics.members import Member


# Of every template there are several of these values, which is why they are tuples: a
# frozen dataclass takes three times as long to make, more than to seal what it names.
def shown(value: NamedTuple, *hidden: str) -> str:
    """Return the `repr` of a value, without some of its fields."""
    pairs = zip(value._fields, value, strict=True)
    told = ", ".join(f"{name}={each!r}" for name, each in pairs if name not in hidden)
    return f"{type(value).__name__}({told})"


class Binding(NamedTuple):
    """What a sealed value belongs to; it opens under exactly this and no other.

    Attributes:
        member: the holder.
        gallery: name of the template space, or `REFERENCES` for references.
        record: 16 random bytes of the record.
        modality: modality of the template, empty for a reference.
        space: identity of the template space, empty for a reference.
        position: position of the template, empty for a reference.
        sample: ordinal of the template in its record; 0 for a reference.
        generation: generation of the record, from 1.
    """

    member: Member
    gallery: str
    record: bytes
    modality: str
    space: str
    position: str
    sample: int
    generation: int


# The gallery name under which holders' references are sealed. No template space
# can have it: names of spaces are lower case.
REFERENCES = "REFERENCES"


def reference_binding(holder: Member, record_id: bytes, generation: int) -> Binding:
    """Return what a record's sealed reference is bound to."""
    return Binding(holder, REFERENCES, record_id, "", "", "", 0, generation)


class Sealed(NamedTuple):
    """A value under its own random key, and that key under a gallery key.

    Attributes:
        key_id: number of the gallery key in the store.
        wrapped_key: the value's key, sealed by the gallery key (XAES-256-GCM).
        ciphertext: the value, sealed by its own key (AES-256-GCM).
    """

    key_id: int
    wrapped_key: bytes
    ciphertext: bytes


FILE_NAME_BYTES: Final = 16


class FileKind(Enum):
    """What a sealed file holds. Values are stored, in effect: never change one."""

    SEGMENT = "segment"
    MANIFEST = "manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """Which file of a gallery's codes it is; it opens as exactly this and no other.

    Attributes:
        kind: what it holds.
        position: position of the templates.
        name: 16 random bytes, drawn anew for every content that is sealed: no two
            contents may ever have one name, since the file's key follows from it.
    """

    kind: FileKind
    position: str
    name: bytes

    def __post_init__(self) -> None:
        """Refuse a name that could not be random enough."""
        if len(self.name) != FILE_NAME_BYTES:
            raise ValueError(
                f"a name has {FILE_NAME_BYTES} bytes, not {len(self.name)}"
            )


class Attested(NamedTuple):
    """What the tag of a record attests: it is stored in the clear, and not believed.

    Attributes:
        record: 16 random bytes of the record.
        generation: generation of the record, from 1.
        lookup: 32 bytes, under which the record is found.
        excluded: members that never learn of the record.
        expires_at: moment from which nobody does, or None.
        first_template: number in the store of the first of its templates, by which
            candidates are read; None of records from before it was attested.
        is_canary: whether the record is nobody's, and no answer ever tells of it.
    """

    record: bytes
    generation: int
    lookup: bytes
    excluded: frozenset[Member]
    expires_at: dt.datetime | None
    first_template: int | None
    is_canary: bool = False

    def __repr__(self) -> str:
        """Return what it says, without what finds the record."""
        return shown(self, "lookup")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGalleryKey:
    """A gallery key that has no number yet.

    Attributes:
        member: the holder.
        gallery: name of the template space, or `REFERENCES`.
        epoch: from 1, one more with each rotation; unique in a gallery.
        wrapped: the key, sealed by the member's key-encryption key.
        commitment: 32 bytes; only this one key answers to them.
        created_at: aware moment in UTC.
    """

    member: Member
    gallery: str
    epoch: int
    wrapped: bytes = field(repr=False)
    commitment: bytes
    created_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryKeyRow(NewGalleryKey):
    """A gallery key as it is stored.

    Attributes:
        key_id: its number in the store, which `Sealed.key_id` names.
    """

    key_id: int


KEYS_ROTATED: Final = "KEYS_ROTATED"
GALLERY_LOCKED: Final = "GALLERY_LOCKED"


def locked(member: Member, *, is_rotated: bool = False) -> GalleryLockedError:
    """Return the error of a member whose keys are not at hand.

    Args:
        member: the holder.
        is_rotated: only those are gone that something was sealed under meanwhile.
    """
    if is_rotated:
        return GalleryLockedError(
            KEYS_ROTATED,
            f"the keys of `{member}` were rotated while this was sealed; send it again"
            " with the same request_id",
            retry_after=limits.BUSY_RETRY_SECONDS,
        )
    return GalleryLockedError(
        GALLERY_LOCKED,
        f"the galleries of `{member}` are locked; they can be used again once the"
        " member unlocks them",
    )
