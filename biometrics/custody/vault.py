"""The vault: everything that is sealed is sealed and opened here."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from biometrics.custody.framing import Purpose, derive
from biometrics.custody.gallery import SEAL_RANDOM_BYTES
from biometrics.custody.handed import HandedKeyProvider
from biometrics.custody.index import IndexKeys
from biometrics.custody.keyring import Keyring
from biometrics.custody.lent import LOAN, written
from biometrics.custody.passing import Passing
from biometrics.custody.xaes import KEY_BYTES, TAG_BYTES, unopened
from biometrics.errors import PreconditionError
from biometrics.sealed import REFERENCES, locked
from biometrics.sealing import HAND_OVER, SealingKeys, seal_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from biometrics.clock import Clock
    from biometrics.custody.buffers import Values
    from biometrics.custody.codes import CodesKey
    from biometrics.custody.index import IndexKey
    from biometrics.custody.keyring import KeyRows
    from biometrics.custody.providers import KeyProvider
    from biometrics.members import Member
    from biometrics.sealed import Binding, GalleryKeyRow, NewGalleryKey, Sealed


class Vault:
    """Seals and opens what belongs to members; for several threads at once.

    Every member is locked at first. No key and no value is in any error or `repr`.
    Python cannot wipe `bytes`: dropped keys are forgotten, not overwritten.
    """

    def __init__(  # noqa: PLR0917 -- in the order of the hierarchy, from its root
        self,
        exchange: KeyProvider,
        members: Mapping[Member, KeyProvider],
        rows: KeyRows,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Hold no key yet.

        Args:
            exchange: wraps index keys, which are usable while a member is locked.
            members: wrap the gallery keys of each holder.
            rows: where wrapped keys are kept.
            clock: when keys are made.
            random_bytes: where keys and nonces come from.
        """
        self._rings: dict[Member, Keyring] = {}
        self._sealing = SealingKeys()
        self._handed: dict[Member, HandedKeyProvider] = {}
        self._indexes = IndexKeys(exchange, rows, random_bytes)
        self._passing: Passing | None = None
        self._rows = rows
        self._clock = clock
        self._random_bytes = random_bytes
        for member, provider in members.items():
            self.admit(member, provider)

    def admit(self, member: Member, provider: KeyProvider) -> None:
        """Have one more member, locked at first, whose gallery keys `provider` wraps.

        One that is there already MUST NOT be admitted again.
        """
        if isinstance(provider, HandedKeyProvider):
            self._handed[member] = provider
        self._rings[member] = Keyring(
            member,
            provider,
            self._rows,
            clock=self._clock,
            random_bytes=self._random_bytes,
        )

    def unlock(self, member: Member) -> None:
        """Open the member's gallery keys. Whatever is raised, it is locked then.

        Raises:
            GalleryLockedError: the member's key-encryption key is not at hand.
            SealError: a gallery key is damaged, or wrapped by another key.
            StorageError: the wrapped keys cannot be read.
        """
        self._ring(member).unlock()

    def sealing_key(self, member: Member) -> bytes:
        """Return what a member's clients seal to; of this vault, and gone with it."""
        return self._sealing.of(member).public

    def renew_sealing_key(self, member: Member) -> None:
        """Have a member's clients seal to another key: what was recorded is void."""
        self._sealing.renew(member)

    def hand(self, member: Member, sealed: bytes, request_id: bytes) -> None:
        """Hold the key-encryption key of a member that keeps it itself, until `lock`.

        Args:
            member: whose.
            sealed: the key, sealed to `sealing_key` for this.
            request_id: 16 bytes, of the request that carries it.

        Raises:
            PreconditionError: the exchange has that member's key already, or holds
                another one that opened its galleries; or it was not sealed to this
                vault, by this member, for this request.
        """
        provider = self._handed.get(member)
        if provider is None:
            raise PreconditionError(
                "KEY_AT_THE_EXCHANGE",
                f"the exchange has the key-encryption key of `{member}`; unlock without"
                " one, or have its operator set `handed-over` for this member",
            )
        sealing = self._sealing.of(member)
        key = sealing.open(sealed, member, HAND_OVER.encode(), request_id)
        if len(key) != KEY_BYTES:
            raise PreconditionError("NOT_A_KEY", f"a key has {KEY_BYTES} bytes")
        provider.take(key)

    def unseal(self, member: Member, message: str, sealed: bytes) -> bytes:
        """Return a request that a client sealed to `sealing_key`.

        Args:
            member: whose client.
            message: full name of what it is.
            sealed: as it came.

        Raises:
            PreconditionError: it was not sealed to this vault, by this member, as that.
        """
        return self._sealing.of(member).open(sealed, member, message.encode())

    def lock(self, member: Member) -> None:
        """Drop a member's gallery keys, and a key handed over; its index key stays.

        What was sealed to hand a key over, or to pass one on, is void.
        """
        if self._passing is not None:
            self._passing.renew()
        if member in self._rings:
            self._rings[member].lock()

    def is_unlocked(self, member: Member) -> bool:
        """Say whether the member's galleries can be sealed to and opened."""
        return member in self._rings and self._rings[member].is_unlocked

    def seal(self, binding: Binding, plaintext: Values) -> Sealed:
        """Seal a value: a template or a holder's reference.

        The first value of a gallery waits until the gallery's key is durable.

        Args:
            binding: what it belongs to; it opens under exactly this.
            plaintext: contiguous, of any element type.

        Raises:
            GalleryLockedError: the member is locked.
            StorageError: the gallery's key could not be made durable.
        """
        (sealed,) = self.seal_all([(binding, plaintext)])
        return sealed

    def seal_all(self, values: Sequence[tuple[Binding, Values]]) -> list[Sealed]:
        """Seal several values, each as `seal` does; those of a gallery at once.

        Randomness is drawn by one system call a gallery, for which a thread gives the
        interpreter's lock away.

        Args:
            values: each with what it belongs to.

        Raises:
            GalleryLockedError: a member is locked.
            StorageError: the key of a gallery could not be made durable.
        """
        of_gallery: dict[tuple[Member, str], list[int]] = defaultdict(list)
        for number, (binding, _) in enumerate(values):
            of_gallery[binding.member, binding.gallery].append(number)
        sealed: dict[int, Sealed] = {}
        for (member, gallery), numbers in of_gallery.items():
            drawn = self._random_bytes(SEAL_RANDOM_BYTES * len(numbers))
            key = self._ring(member).newest(gallery)
            made = key.seal_all([values[number] for number in numbers], drawn)
            sealed.update(zip(numbers, made, strict=True))
        return [sealed[number] for number in range(len(values))]

    def open(self, binding: Binding, sealed: Sealed) -> bytearray:
        """Return a value, in memory that the caller can overwrite.

        Raises:
            GalleryLockedError: the member is locked.
            SealError: it is damaged, or belongs to something else.
        """
        size = len(sealed.ciphertext) - TAG_BYTES
        if size < 0:
            raise unopened("it is too short")
        clear = bytearray(size)
        self.open_into(binding, sealed, clear)
        return clear

    def open_into(self, binding: Binding, sealed: Sealed, buffer: Values) -> None:
        """Open a value into a buffer; faster than `open`, and makes no copy.

        Args:
            binding: what the value must belong to.
            sealed: as `seal` returned it.
            buffer: writable, contiguous, of exactly the size of the value, of any
                element type. After an error it holds nothing of the value.

        Raises:
            GalleryLockedError: the member is locked.
            SealError: it is damaged, of another size, or belongs to something else.
        """
        key = self._ring(binding.member).numbered(sealed.key_id)
        key.open_into(binding, sealed, buffer)

    def codes(self, member: Member, gallery: str) -> CodesKey:
        """Return the key of the gallery's codes, in its newest epoch.

        A gallery without a key gets one, durable before it is used.

        Raises:
            GalleryLockedError: the member is locked.
            StorageError: the gallery's key could not be made durable.
        """
        return self._ring(member).newest(gallery).codes

    def every_codes(self, member: Member, gallery: str) -> list[CodesKey]:
        """Return what `codes` does and, during a rotation, the older ones behind it.

        Raises:
            GalleryLockedError: the member is locked.
            StorageError: the gallery's key could not be made durable.
        """
        return [key.codes for key in self._ring(member).every(gallery)]

    def successors(self, member: Member) -> list[NewGalleryKey]:
        """Return a key of the next epoch for each gallery of a member.

        None is used before it is durable and `adopt` is called.

        Raises:
            GalleryLockedError: the member is locked.
        """
        return self._ring(member).successors()

    def adopt(self, member: Member, rows: Iterable[GalleryKeyRow]) -> None:
        """Use keys that are durable, beside those at hand; the newest seal from now on.

        Raises:
            GalleryLockedError: the member is locked.
            SealError: a row is damaged, or was wrapped by another key.
        """
        self._ring(member).adopt(rows)

    def learn(self, member: Member) -> None:
        """Have the keys of a member at hand that another front end has made.

        Raises:
            GalleryLockedError: the member is locked.
            SealError: a row is damaged, or was wrapped by another key.
            StorageError: they cannot be read now.
        """
        self._ring(member).learn()

    def has(self, member: Member, key_id: int) -> bool:
        """Say whether a gallery key is at hand; not while the member is locked."""
        return member in self._rings and self._rings[member].has(key_id)

    def settle(self, member: Member) -> None:
        """Have a first key of the member's, so that no other one can be its own.

        Raises:
            GalleryLockedError: the member is locked.
            SealError: its keys were wrapped by another key-encryption key.
            StorageError: it could not be made durable.
        """
        self._ring(member).newest(REFERENCES)

    def is_rotating(self, member: Member) -> bool:
        """Say whether there are keys at hand that newer ones are to replace."""
        return member in self._rings and self._rings[member].is_rotating()

    def rewrap(
        self, binding: Binding, key_id: int, wrapped: bytes
    ) -> tuple[int, bytes]:
        """Return a value's key under the newest key of its gallery, and the number.

        Args:
            binding: what the value belongs to.
            key_id: number of the gallery key that it is under.
            wrapped: its key, as `Sealed.wrapped_key`.

        Raises:
            GalleryLockedError: the member is locked.
            SealError: it is damaged, or belongs to something else.
        """
        ring = self._ring(binding.member)
        newest = ring.newest(binding.gallery)
        older = ring.numbered(key_id)
        return newest.key_id, older.rewrap(binding, wrapped, newest, self._random_bytes)

    def retire(self, member: Member) -> None:
        """Drop every key of a member but the newest of each gallery.

        And but those that were durable when the member's were learnt last.
        """
        if member in self._rings:
            self._rings[member].retire()

    def lendable(self, member: Member) -> frozenset[int]:
        """Return the numbers of the keys that `lend` lends; none while locked."""
        return self._rings[member].lendable() if member in self._rings else frozenset()

    def lend(self, member: Member, public: bytes) -> bytes:
        """Return what opens a member's templates, sealed to `LentKeys.public`.

        Raises:
            GalleryLockedError: the member is locked.
            SealError: a gallery key was damaged since it was opened.
            StorageError: the wrapped keys cannot be read.
            UnauthenticatedError: `public` is no key that can be sealed to.
        """
        clear = written(self._ring(member).secrets())
        return seal_to(public, clear, member, LOAN)

    def shown(self) -> bytes:
        """Return what other front ends of the exchange pass keys on to this one by.

        It is another one after each `lock`.

        Raises:
            SealError: as `signing_seed`.
            StorageError: likewise.
        """
        if self._passing is None:
            secret = derive(self._indexes.signing_seed(), Purpose.FRONT_ENDS)
            self._passing = Passing(secret)
        return self._passing.shown

    def pass_on(self, member: Member, shown: bytes) -> bytes | None:
        """Return a key that a member has handed over, sealed to another front end.

        Args:
            member: whose.
            shown: by that one.

        Returns:
            None where the member has handed none, or it is no front end.
        """
        provider = self._handed.get(member)
        if self._passing is None or provider is None or not (key := provider.key()):
            return None
        return self._passing.seal(shown, member, key)

    def take_over(self, member: Member, sealed: bytes) -> None:
        """Hold a key that another front end has passed on, until `lock`.

        Raises:
            PreconditionError: it was passed to another, or before a lock, or by no
                front end; or the member keeps no key.
        """
        if self._passing is None or (provider := self._handed.get(member)) is None:
            raise PreconditionError(
                "KEY_AT_THE_EXCHANGE", f"the settings have the key of `{member}`"
            )
        provider.take(self._passing.open(sealed, member))

    def signing_seed(self) -> bytes:
        """Return the 32 bytes of the exchange's signing key, made on first use.

        Raises:
            SealError: the stored key is damaged, or wrapped by another exchange.
            StorageError: it cannot be read, or a new one made durable.
        """
        return self._indexes.signing_seed()

    def log_seed(self) -> bytes:
        """Return the 32 bytes of the key that signs for the log.

        They follow from those of the signing key, and raise as `signing_seed`.
        """
        return derive(self._indexes.signing_seed(), Purpose.LOG_KEY)

    def index(self, member: Member) -> IndexKey:
        """Return the member's index key, made on first use. Works while locked.

        Raises:
            SealError: the stored key is damaged, or wrapped by another exchange.
            StorageError: it cannot be read, or a new one made durable.
        """
        return self._indexes.of(member)

    def _ring(self, member: Member) -> Keyring:
        ring = self._rings.get(member)
        if ring is None:
            raise locked(member)
        return ring
