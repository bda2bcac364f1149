"""Request ids that follow from content, so that a load run twice sends the same.

A request id is stored by the exchange and may stand in its logs, so it must say
nothing about the content: a plain hash of a template would fingerprint a person.
These are HMAC-SHA256 under a key that only the client has: one derived from its
private key file. Whoever lacks that file can neither test a guess against an id
nor link the ids of two clients. Another certificate gives other ids, which costs
nothing: what is enrolled already is recognised by the exchange itself.
"""

from __future__ import annotations

import hmac
import uuid
from typing import TYPE_CHECKING

from biometrics.client.profile import read_small_file

if TYPE_CHECKING:
    from biometrics.client.profile import Profile

_PURPOSE = b"biometrics.v1 request ids of content"
_NAME_BASED = 5  # the UUID version that says: derived, not drawn


class RequestIds:
    """Derives request ids under one client's key."""

    __slots__ = ("_key",)

    def __init__(self, secret: bytes) -> None:
        """Derive a key from `secret`, which is used for nothing else.

        Args:
            secret: at least 128 bits of entropy, such as a private key file.
        """
        self._key = hmac.digest(secret, _PURPOSE, "sha256")

    @classmethod
    def of(cls, profile: Profile) -> RequestIds:
        """Return those of a profile, from its private key file.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        return cls(read_small_file(profile.key, "the client's private key"))

    def of_content(self, content: bytes) -> uuid.UUID:
        """Return the request id of a request: equal for equal content.

        Args:
            content: the request's encoding without its id.
        """
        digest = hmac.digest(self._key, content, "sha256")
        return uuid.UUID(bytes=digest[:16], version=_NAME_BASED)
