"""What a requester signs in a follow-up; how it is written is told in `follow_up`."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from biometrics.members import Member
from biometrics.sealing import SUITE
from biometrics.signing.follow_up_proof import signer_of
from biometrics.signing.note import Note

if TYPE_CHECKING:
    from biometrics.signing.signers import Signer, Signers

_REQUEST: Final = "biometrics.exchange follow-up request"
_FIELDS: Final = (
    "requester",
    "holder",
    "reference",
    "purpose",
    "modality",
    "basis",
    "suite",
    "key",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpRequest:
    """What a requester signs.

    Attributes:
        requester: who asks.
        holder: who is asked.
        reference_digest: 32 bytes, SHA-256 of the reference.
        purpose: why the person was searched for, as a word.
        modality: by what, as a word.
        basis: the legal basis: a line, which names no person.
        key: what the payload is sealed to.
    """

    requester: Member
    holder: Member
    reference_digest: bytes
    purpose: str
    modality: str
    basis: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what would not be read as it was written.

        Raises:
            InvalidRequestError: the legal basis is missing, too long or no line.
        """
        most = limits.MAX_LEGAL_BASIS_CHARACTERS
        line = self.basis
        if not 0 < len(line) <= most or not line.isprintable() or line != line.strip():
            told = f"must be a line of 1 to {most} characters, such as an article"
            fault = Fault(field="basis", reason="WRONG_TEXT", message=told)
            raise InvalidRequestError.of([fault])

    @property
    def text(self) -> str:
        """What is signed."""
        values = (
            self.requester.code,
            self.holder.code,
            _encoded(self.reference_digest),
            self.purpose,
            self.modality,
            self.basis,
            SUITE,
            _encoded(self.key),
        )
        lines = (
            f"{name} {value}\n" for name, value in zip(_FIELDS, values, strict=True)
        )
        return f"{_REQUEST}\n{''.join(lines)}"

    @property
    def follow_up_id(self) -> bytes:
        """32 bytes, by which everything else is about this request."""
        return _id_of(self.text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what was signed; there is one writing of each request.

        Raises:
            InvalidRequestError: it is no such text, or of another suite.
        """
        kind, *lines = text.removesuffix("\n").split("\n")
        named = [line.partition(" ") for line in lines]
        if kind != _REQUEST or tuple(name for name, _, _ in named) != _FIELDS:
            raise _no_request()
        value = {name: rest for name, _, rest in named}
        try:
            found = cls(
                requester=Member(value["requester"]),
                holder=Member(value["holder"]),
                reference_digest=base64.b64decode(value["reference"], validate=True),
                purpose=value["purpose"],
                modality=value["modality"],
                basis=value["basis"],
                key=base64.b64decode(value["key"], validate=True),
            )
        except (InvalidRequestError, binascii.Error) as error:
            raise _no_request() from error
        if found.text != text:
            raise _no_request()
        return found


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request, with the note that it stands in."""

    request: FollowUpRequest
    note: Note

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a note; whose signatures are below it is for `signer`.

        Raises:
            InvalidRequestError: it is no note of a request.
        """
        note = Note.parse(data)
        return cls(FollowUpRequest.parse(note.text), note)

    def signer(self, signers: Signers) -> Signer:
        """Return who of the requester has signed.

        Raises:
            UnauthenticatedError: nobody who is listed.
        """
        return signer_of(self.note, self.request.requester, signers)


def is_note_of(data: bytes, follow_up_id: bytes) -> bool:
    """Say whether a stored note is of the request that an id is of."""
    try:
        return _id_of(Note.parse(data).text) == follow_up_id
    except InvalidRequestError:
        return False


def _id_of(text: str) -> bytes:
    """Return the id of a request."""
    return hashlib.sha256(text.encode()).digest()


def _encoded(data: bytes) -> str:
    """Return bytes as text."""
    return base64.b64encode(data).decode()


def _no_request() -> InvalidRequestError:
    """Return the error of what is no request."""
    told = "is no request for a follow-up in the one writing that there is of it"
    fault = Fault(field="note", reason="NOT_A_REQUEST", message=told)
    return InvalidRequestError.of([fault])
