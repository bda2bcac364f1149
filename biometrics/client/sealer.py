"""Seals requests to the exchange, where the profile says by what key to know it."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.members import Member
from biometrics.sealing import HAND_OVER, SUITE, seal_to
from biometrics.signing import VerifierKey, read_sealing_key

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from biometrics.v1 import custody_pb2

M = TypeVar("M", bound="Message")


class Remaining:
    """What is left of the deadline of a call that takes several requests."""

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        self._end = time.monotonic() + seconds

    @property
    def seconds(self) -> float:
        """How long the next request may take."""
        return max(0.0, self._end - time.monotonic())


@dataclass(frozen=True, slots=True)
class Recipient:
    """A running exchange that has proved to be the one, and as whom to seal to it."""

    public: bytes
    member: Member

    def seal(self, request: M) -> M:
        """Return a request whose whole content is sealed."""
        return self.seal_written(type(request), request.SerializeToString())

    def seal_written(self, kind: type[M], clear: bytes) -> M:
        """Return what `seal` does, of a request of some kind that is written."""
        name = kind.DESCRIPTOR.full_name.encode()
        return kind(sealed=seal_to(self.public, clear, self.member, name))

    def hand_over(self, key: bytes, request_id: str) -> bytes:
        """Return a key-encryption key, sealed for one request."""
        number = uuid.UUID(request_id).bytes
        return seal_to(self.public, key, self.member, HAND_OVER.encode(), number)


class Sealer:
    """Knows whom to seal to, once that has proved who it is; for several threads.

    Attributes:
        recipient: the exchange as it last proved itself, or None.
    """

    def __init__(self, verifier: str) -> None:
        """Take the exchange's verifier key; empty where nothing is sealed.

        Raises:
            ConfigurationError: it is none.
        """
        self.recipient: Recipient | None = None
        try:
            self._verifier = VerifierKey.parse(verifier) if verifier else None
        except InvalidRequestError as error:
            raise ConfigurationError(
                error.reason, f"`verifier` in the profile {error.message}"
            ) from error

    def seals(self, request: Message) -> bool:
        """Say whether a request is to be sealed: one that can carry a template."""
        return (
            self._verifier is not None and "sealed" in request.DESCRIPTOR.fields_by_name
        )

    def learn(
        self, message: custody_pb2.GetSealingKeyResponse, member: str
    ) -> Recipient:
        """Return whom to seal to, as the exchange says.

        Args:
            message: what it says.
            member: code in the client's own certificate. Whoever stands between could
                give another one for it, whose member would open what is sealed.

        Raises:
            ConfigurationError: the profile does not say by what key to know it.
            UnauthenticatedError: it did not prove that it is the one.
            InvalidRequestError: the certificate is no member's.
        """
        if self._verifier is None:
            raise ConfigurationError(
                "NO_VERIFIER",
                "nothing is sealed to an exchange that has not proved who it is: put"
                " its verifier key into the profile, `verifier = ...`, as its operator"
                " told it to you",
            )
        public = read_sealing_key(message.note, SUITE, self._verifier)
        self.recipient = Recipient(public, Member(member))
        return self.recipient
