"""Key-encryption keys that one front end of an exchange passes on to another.

A member that keeps its key hands it to the front end that it happens to reach, and the
others have to have it as well:

1. Each makes a key pair, which goes with its process, and shows by a code that only who
   has the exchange's own key can make that it is a front end of this exchange: whoever
   writes into the database is none by that.
2. One seals a member's key to another, by HPKE, bound to that member, with a code that
   shows likewise who has sealed it.
3. The other opens it, and drops it when the member locks its galleries. It has another
   pair from then on: what was passed on before opens nothing any more.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from biometrics.errors import PreconditionError
from biometrics.sealing import SealingKey, seal_to

if TYPE_CHECKING:
    from biometrics.members import Member

_SHOWN: Final = b"shown:"
_PASSED: Final = b"passed on"
_CODE_BYTES: Final = sha256().digest_size


class Passing:
    """One front end's end of it; for several threads."""

    __slots__ = ("_sealing", "_secret")

    def __init__(self, secret: bytes) -> None:
        """Make the key pair.

        Args:
            secret: 32 bytes, which all front ends of an exchange have.
        """
        self._secret = secret
        self._sealing = SealingKey()

    @property
    def shown(self) -> bytes:
        """What the others are shown of the pair."""
        public = self._sealing.public
        return public + self._code(_SHOWN, public)

    def renew(self) -> None:
        """Have another pair."""
        self._sealing = SealingKey()

    def seal(self, shown: bytes, member: Member, key: bytes) -> bytes | None:
        """Return a member's key, sealed to another front end; None if it is none."""
        public, code = shown[:-_CODE_BYTES], shown[-_CODE_BYTES:]
        if not hmac.compare_digest(code, self._code(_SHOWN, public)):
            return None
        sealed = seal_to(public, key, member, _PASSED)
        return sealed + self._code(_PASSED, sealed)

    def open(self, sealed: bytes, member: Member) -> bytes:
        """Return a member's key that was sealed to `shown`.

        Raises:
            PreconditionError: it was sealed to another, or is another member's; or no
                front end has sealed it.
        """
        sealed, code = sealed[:-_CODE_BYTES], sealed[-_CODE_BYTES:]
        if not hmac.compare_digest(code, self._code(_PASSED, sealed)):
            raise PreconditionError(
                "PASSED_BY_NOBODY", "no front end of this exchange has sealed it"
            )
        return self._sealing.open(sealed, member, _PASSED)

    def _code(self, what: bytes, told: bytes) -> bytes:
        return hmac.digest(self._secret, what + told, sha256)
