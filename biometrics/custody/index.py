"""What is done for a member whether or not its galleries are locked.

A record is found by a keyed hash of its reference, so that it can be withdrawn and
protected on a locked gallery; both are authenticated, requests are told apart, and
answers to replays are kept, likewise. None of these keys opens a template or a stored
reference.
"""

from __future__ import annotations

import hmac
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from biometrics.clock import to_microseconds
from biometrics.custody.framing import (
    Purpose,
    derive,
    frame,
    framed_bytes,
    framed_number,
    framed_often,
)
from biometrics.custody.xaes import KEY_BYTES, NONCE_BYTES, Xaes
from biometrics.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.custody.keyring import KeyRows
    from biometrics.custody.providers import KeyProvider
    from biometrics.members import Member
    from biometrics.sealed import Attested


class IndexKey:
    """The keys of one member, one for each purpose; for several threads at once."""

    __slots__ = (
        "_digest",
        "_lookup",
        "_member",
        "_random_bytes",
        "_replies",
        "_tag",
        "_tagged",
    )

    def __init__(
        self, member: Member, secret: bytes, random_bytes: Callable[[int], bytes]
    ) -> None:
        """Derive the keys from `secret`, 32 bytes."""
        self._member = member.code
        self._lookup = _hmac(derive(secret, Purpose.INDEX_LOOKUP, member.code))
        self._digest = _hmac(derive(secret, Purpose.INDEX_DIGEST, member.code))
        self._tagged = frame(Purpose.RECORD_TAG, member.code)
        self._tag = _hmac(derive(secret, Purpose.INDEX_TAG, member.code))
        self._replies = Xaes(derive(secret, Purpose.INDEX_REPLIES, member.code))
        self._random_bytes = random_bytes

    def lookup(self, reference: str) -> bytes:
        """Return the 32 bytes under which a record of that reference is found."""
        return self._lookup(reference.encode())

    def digest(self, data: bytes) -> bytes:
        """Return the 32 bytes by which requests and contents are told apart.

        Keyed, because a plain hash would let whoever has a template look for it.
        """
        return self._digest(data)

    def record_tag(self, record: Attested) -> bytes:
        """Return the 32 bytes without which nothing is believed of a record's row."""
        before, after = self._tagged_parts(record)
        if record.first_template is not None:
            before += framed_number(record.first_template)
        return self._tag(before + after)

    def tagging(self, record: Attested) -> Callable[[int], bytes]:
        """Return what gives the tag of a record, when its first template has a number.

        Args:
            record: what it is to attest, whatever first template it names.
        """
        before, after = self._tagged_parts(record)
        return lambda first: self._tag(before + framed_number(first) + after)

    def _tagged_parts(self, record: Attested) -> tuple[bytes, bytes]:
        """Return what is tagged of a record, before and after its first template."""
        expires_at = to_microseconds(record.expires_at) if record.expires_at else ""
        before = (
            self._tagged
            + framed_bytes(record.record)
            + framed_often(record.generation)
            + framed_bytes(record.lookup)
            + framed_often(_codes(record.excluded), expires_at)
        )
        return before, framed_often("canary") if record.is_canary else b""

    def check_record(self, record: Attested, tag: bytes) -> None:
        """Refuse a record's row whose tag is not the one that it was given.

        Of a record from before its first template was attested there is only the tag
        without, and of any other none was ever made.

        Raises:
            SealError: the row was changed.
        """
        if hmac.compare_digest(self.record_tag(record), tag):
            return
        before = record._replace(first_template=None)
        if not hmac.compare_digest(self.record_tag(before), tag):
            raise SealError(
                "RECORD_CHANGED",
                "a record's row was changed, its reference, what protects it or where"
                " its templates are: restore it from a backup",
            )

    def seal_reply(self, request_id: bytes, plaintext: bytes) -> bytes:
        """Return an answer, sealed for replays of one request of the member."""
        nonce = self._random_bytes(NONCE_BYTES)
        return self._replies.seal(nonce, plaintext, self._reply(request_id))

    def open_reply(self, request_id: bytes, sealed: bytes) -> bytes:
        """Return the answer that `seal_reply` sealed for the request.

        Raises:
            SealError: damaged, or of another request or member.
        """
        return self._replies.open(sealed, self._reply(request_id))

    def _reply(self, request_id: bytes) -> bytes:
        return frame(Purpose.REPLY, self._member, request_id)


class IndexKeys:
    """What the exchange's own key wraps: the index keys of members, a signing key."""

    def __init__(
        self,
        exchange: KeyProvider,
        rows: KeyRows,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Open none yet."""
        self._exchange = exchange
        self._rows = rows
        self._random_bytes = random_bytes
        self._making = threading.Lock()
        self._keys: dict[Member, IndexKey] = {}

    def of(self, member: Member) -> IndexKey:
        """Return a member's index key; see `Vault.index`."""
        key = self._keys.get(member)
        return self._open(member) if key is None else key

    def signing_seed(self) -> bytes:
        """Return the seed of the exchange's signing key; see `Vault.signing_seed`."""
        context = frame(Purpose.SIGNING_KEY)
        wrapped = self._rows.signing_key()
        if wrapped is None:
            fresh = self._random_bytes(KEY_BYTES)
            wrapped = self._rows.add_signing_key(self._exchange.wrap(fresh, context))
        return self._exchange.unwrap(wrapped, context)

    def _open(self, member: Member) -> IndexKey:
        """Open the key that is stored, or make one, durable before it is used."""
        with self._making:
            if member in self._keys:  # another thread was first
                return self._keys[member]
            wrapped = self._rows.index_key(member)
            if wrapped is None:
                fresh = self._random_bytes(KEY_BYTES)
                # The stored key counts: another process may have been first.
                wrapped = self._rows.add_index_key(
                    member, self._exchange.wrap(fresh, _context(member))
                )
            key = open_index_key(member, wrapped, self._exchange, self._random_bytes)
            self._keys[member] = key
            return key


def open_index_key(
    member: Member,
    wrapped: bytes,
    exchange: KeyProvider,
    random_bytes: Callable[[int], bytes],
) -> IndexKey:
    """Return a member's stored index key, opened.

    Raises:
        SealError: it is damaged, or was wrapped by another exchange's key.
    """
    secret = exchange.unwrap(wrapped, _context(member))
    return IndexKey(member, secret, random_bytes)


@lru_cache(maxsize=1024)
def _codes(members: frozenset[Member]) -> str:
    """Return the codes of members in their order; many records exclude the same."""
    return ",".join(sorted(member.code for member in members))


def _hmac(key: bytes) -> Callable[[bytes], bytes]:
    """Return HMAC-SHA-256 under one key.

    `hmac.digest` gives the interpreter's lock away, for however few bytes, and gets it
    back after up to 5 ms behind another thread; a copy of a keyed one keeps it.
    Python's own takes twice the time for as few bytes as here.
    """
    keyed = HMAC(key, SHA256())

    def digest(data: bytes) -> bytes:
        own = keyed.copy()
        own.update(data)
        return own.finalize()

    return digest


def _context(member: Member) -> bytes:
    """Return what a member's index key is wrapped for."""
    return frame(Purpose.INDEX_KEY, member.code)
