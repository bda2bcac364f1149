"""Gallery keys that an exchange lends to where its galleries are compared.

A member's key-encryption key stays with the exchange. What is lent opens templates and
codes of galleries whose member is unlocked, seals nothing, and makes no other key:

1. The borrower makes a key pair, which goes with its process.
2. The exchange seals to it, by HPKE, the gallery keys of one member.
3. The borrower opens that, and drops it when the member locks its galleries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from biometrics.custody.gallery import Epoch
from biometrics.custody.keyring import Keys
from biometrics.custody.xaes import KEY_BYTES
from biometrics.errors import SealError
from biometrics.sealed import locked
from biometrics.sealing import SealingKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from biometrics.custody.buffers import Values
    from biometrics.custody.codes import CodesKey
    from biometrics.custody.gallery import GalleryKey
    from biometrics.members import Member
    from biometrics.sealed import Binding, Sealed

LOAN: Final = b"loan"  # what gallery keys are sealed for
_NUMBER_BYTES: Final = 8


class LentKeys:
    """The gallery keys that were lent; one thread changes them, any may use them.

    Every member is locked at first, and no key is in any error or `repr`. As a `Vault`
    does, it opens templates and gives the keys of codes, and does no more than that.
    """

    def __init__(
        self,
        gallery_of: Callable[[int], tuple[Member, str] | None] = lambda _: None,
    ) -> None:
        """Hold no key yet.

        `gallery_of` says whose the key of a number is, if anybody's: a value under
        another's was put there by somebody, and never opens.
        """
        self._gallery_of = gallery_of
        self._sealing = SealingKey()
        self._keys: dict[Member, Keys] = {}

    @property
    def public(self) -> bytes:
        """What is to be sealed to: of this object, and gone with it."""
        return self._sealing.public

    @property
    def members(self) -> frozenset[Member]:
        """Of whom there are some."""
        return frozenset(self._keys)

    def take(self, member: Member, sealed: bytes) -> None:
        """Hold keys of a member, beside those that were lent before.

        Args:
            member: whose.
            sealed: by `Vault.lend`, to `public`.

        Raises:
            PreconditionError: it was sealed to another, or is another member's.
        """
        keys = Keys()
        held = self._keys.get(member, keys)
        lent = _read(member, self._sealing.open(sealed, member, LOAN))
        for key in (*held.by_id.values(), *lent):
            keys.add(key)
        self._keys[member] = keys

    def lock(self, member: Member) -> None:
        """Drop the keys of a member."""
        self._keys.pop(member, None)

    def retire(self, member: Member) -> None:
        """Drop every key of a member but the newest of each gallery."""
        if (keys := self._keys.get(member)) is not None:
            self._keys[member] = keys.without_older()

    def is_unlocked(self, member: Member) -> bool:
        """Say whether keys of the member are at hand."""
        return member in self._keys

    def open_into(self, binding: Binding, sealed: Sealed, buffer: Values) -> None:
        """Open a value into a buffer; see `Vault.open_into`.

        Raises:
            GalleryLockedError: the key is not lent: none of the member is, or it is
                newer than those that are, or was retired since the value was read.
            SealError: it is damaged, or belongs to something else.
            StorageError: it cannot be read whose the key is.
        """
        key = self._of(binding.member).by_id.get(sealed.key_id)
        if key is None:
            own = binding.member, binding.gallery
            if self._gallery_of(sealed.key_id) not in (None, own):
                raise SealError("SEAL_BROKEN", "it is under a key of another gallery")
            raise locked(binding.member, is_rotated=True)
        key.open_into(binding, sealed, buffer)

    def codes(self, member: Member, gallery: str) -> CodesKey:
        """Return the key of the gallery's codes, in its newest epoch.

        Raises:
            GalleryLockedError: nothing of the gallery is lent.
        """
        return self.every_codes(member, gallery)[0]

    def every_codes(self, member: Member, gallery: str) -> list[CodesKey]:
        """Return what `codes` does and, during a rotation, the older ones behind it.

        Raises:
            GalleryLockedError: nothing of the gallery is lent.
        """
        found = [
            key
            for key in self._of(member).by_id.values()
            if key.epoch.gallery == gallery
        ]
        if not found:
            raise locked(member)
        newest_first = sorted(found, key=lambda key: key.epoch.number, reverse=True)
        return [key.codes for key in newest_first]

    def _of(self, member: Member) -> Keys:
        keys = self._keys.get(member)
        if keys is None:
            raise locked(member)
        return keys


def written(secrets: Iterable[tuple[int, Epoch, bytes]]) -> bytes:
    """Return gallery keys as they are lent: number, epoch, name and key of each."""
    return b"".join(
        b"".join(
            (
                number.to_bytes(_NUMBER_BYTES, "big"),
                epoch.number.to_bytes(_NUMBER_BYTES, "big"),
                len(name := epoch.gallery.encode()).to_bytes(_NUMBER_BYTES, "big"),
                name,
                secret,
            )
        )
        for number, epoch, secret in secrets
    )


def _read(member: Member, data: bytes) -> Iterable[GalleryKey]:
    """Yield the keys that `written` wrote; what was sealed is well formed."""
    at = 0
    while at < len(data):
        number, epoch, length = (
            int.from_bytes(data[at + n * _NUMBER_BYTES :][:_NUMBER_BYTES], "big")
            for n in range(3)
        )
        at += 3 * _NUMBER_BYTES
        gallery = data[at : at + length].decode()
        secret = data[at + length :][:KEY_BYTES]
        at += length + KEY_BYTES
        yield Epoch(member, gallery, epoch).key(number, secret)
