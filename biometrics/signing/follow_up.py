"""What two members sign to one another in a follow-up, and seal between them.

The exchange carries all of it and can change none. What the requester signs:

    biometrics.exchange follow-up request
    requester XAA
    holder XRA
    reference base64 of the SHA-256 of the reference
    purpose asylum-and-protection
    modality face
    basis Asylum Act, section 12
    suite mlkem768-x25519 hkdf-sha256 aes-256-gcm
    key base64 of the key that the payload is to be sealed to, made for this alone

The SHA-256 of that text is the follow-up's id. What two persons of the holder sign,
each with a key of their own, is about that id:

    biometrics.exchange follow-up confirmation
    follow-up hexadecimal

    biometrics.exchange follow-up payload
    follow-up hexadecimal
    sha256 hexadecimal

Each member knows the other's signers by its own copy of the list of signers, never by
the exchange's. Sealed are, each behind its length in four bytes, the confirmation, the
note about the payload and the payload, filled up to one size: its sender is known by
what it sealed, and its recipient by what it sealed to.

The request is in `follow_up_request`, and who stands for what in `follow_up_proof`;
here is what the holder signs and gives, and how the requester opens it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from biometrics.sealing import SEEDS_BYTES, SealingKey, seal_to
from biometrics.signing.follow_up_proof import (
    not_proven,
    other_note,
    own_signer_of,
    signer_of,
)
from biometrics.signing.follow_up_request import FollowUpRequest, SignedRequest
from biometrics.signing.note import Note

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.members import Member
    from biometrics.signing.keys import SigningKey
    from biometrics.signing.signers import Signer, Signers

# What each text is, so that no other note can pass for it.
_CONFIRMATION: Final = "biometrics.exchange follow-up confirmation"
_PAYLOAD: Final = "biometrics.exchange follow-up payload"
_TICKET: Final = "PRIVATE+FOLLOW-UP+"
_SEALED_FOR: Final = b"follow-up payload"
_LENGTH_BYTES: Final = 4


class FollowUpTicket:
    """What a requester keeps: its request, and what alone opens the payload."""

    __slots__ = ("_key", "_seeds", "reference", "signed")

    def __init__(self, reference: bytes, seeds: bytes, note: bytes) -> None:
        """Hold the key that 96 bytes of seeds make, for what is asked in `note`.

        Raises:
            InvalidRequestError: they do not belong together.
        """
        self.signed = SignedRequest.parse(note)
        self.reference = reference
        self._seeds = seeds
        self._key = SealingKey(seeds)
        asked = self.signed.request
        digest = hashlib.sha256(reference).digest()
        if (asked.key, asked.reference_digest) != (self._key.public, digest):
            raise _no_ticket()

    @classmethod
    def make(  # noqa: PLR0913 - all that is signed
        cls,
        *,
        requester: Member,
        holder: Member,
        reference: bytes,
        purpose: str,
        modality: str,
        basis: str,
        key: SigningKey,
        random_bytes: Callable[[int], bytes],
    ) -> Self:
        """Make a key for one payload, and sign the request for it.

        Raises:
            InvalidRequestError: the reference is none, or the legal basis no line.
        """
        if len(reference) != limits.REFERENCE_BYTES:
            told = f"must be {limits.REFERENCE_BYTES} bytes, as an answer gave them"
            fault = Fault(field="reference", reason="WRONG_REFERENCE", message=told)
            raise InvalidRequestError.of([fault])
        seeds = random_bytes(SEEDS_BYTES)
        request = FollowUpRequest(
            requester=requester,
            holder=holder,
            reference_digest=hashlib.sha256(reference).digest(),
            purpose=purpose,
            modality=modality,
            basis=basis,
            key=SealingKey(seeds).public,
        )
        note = Note(request.text, (key.sign(request.text),))
        return cls(reference, seeds, note.data)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a ticket.

        Raises:
            InvalidRequestError: it is none.
        """
        parts = text.strip().removeprefix(_TICKET).split("+")
        try:
            # Base64 of our own making has `+` in it: written in its other alphabet.
            reference, seeds, note = (
                base64.b64decode(part, altchars=b"-_", validate=True) for part in parts
            )
        except (binascii.Error, ValueError) as error:
            raise _no_ticket() from error
        if not text.startswith(_TICKET) or len(seeds) != SEEDS_BYTES:
            raise _no_ticket()
        return cls(reference, seeds, note)

    @property
    def text(self) -> str:
        """The ticket as `parse` reads it: secret, one line."""
        parts = (self.reference, self._seeds, self.signed.note.data)
        return _TICKET + "+".join(
            base64.urlsafe_b64encode(part).decode() for part in parts
        )

    def open(self, sealed: bytes, signers: Signers) -> FollowUpPayload:
        """Return what the holder has sealed, and which two persons stand for it.

        Raises:
            PreconditionError: it was sealed for another follow-up, or is damaged.
            UnauthenticatedError: two who are listed for the holder did not sign it.
        """
        asked = self.signed.request
        clear = self._key.open(sealed, asked.holder, _SEALED_FOR, asked.follow_up_id)
        confirmation, told, content = _unpacked(clear)
        confirmed_by = read_confirmation(confirmation, asked, signers)
        note = other_note(told)
        if note.text != _payload_text(asked, content):
            raise not_proven("what it says of the payload is about another")
        released_by = signer_of(note, asked.holder, signers)
        _refuse_one_person(confirmed_by, released_by)
        return FollowUpPayload(content, confirmed_by.name, released_by.name)


@dataclass(frozen=True, slots=True)
class FollowUpPayload:
    """What a holder gave.

    Attributes:
        content: the payload.
        confirmed_by: who has confirmed it, by the list of signers.
        released_by: who has given it.
    """

    content: bytes = field(repr=False)
    confirmed_by: str
    released_by: str


def confirmation_note(
    signed: SignedRequest, key: SigningKey, signers: Signers
) -> bytes:
    """Return the confirmation of a request, signed.

    Args:
        signed: the request, which must be the requester's own.
        key: of who confirms.
        signers: one's own copy of the list.

    Raises:
        UnauthenticatedError: the request is not signed by who is listed for its
            requester, or the key is not one that is listed for its holder.
    """
    signed.signer(signers)
    text = _confirmation_text(signed.request)
    note = Note(text, (key.sign(text),))
    own_signer_of(note, signed.request.holder, signers)
    return note.data


def refuse_other_confirmation(data: bytes, follow_up_id: bytes) -> None:
    """Refuse a confirmation that is not about a follow-up; whose it is stays open.

    Raises:
        InvalidRequestError: it is about another, or no confirmation.
    """
    if Note.parse(data).text != _about(_CONFIRMATION, follow_up_id):
        raise InvalidRequestError(
            "OTHER_FOLLOW_UP", "the note confirms another follow-up, or nothing"
        )


def read_confirmation(
    data: bytes, request: FollowUpRequest, signers: Signers
) -> Signer:
    """Return who of the holder has confirmed a request.

    Raises:
        UnauthenticatedError: nobody who is listed, or something else.
    """
    note = other_note(data)
    if note.text != _confirmation_text(request):
        raise not_proven("the confirmation is about another follow-up")
    return signer_of(note, request.holder, signers)


def seal_payload(  # noqa: PLR0917 - as it is told to the client
    signed: SignedRequest,
    confirmation: bytes,
    content: bytes,
    key: SigningKey,
    signers: Signers,
) -> bytes:
    """Return a payload, signed, and sealed to the requester alone.

    Args:
        signed: the request.
        confirmation: what another person of the holder signed.
        content: the payload.
        key: of who gives it.
        signers: one's own copy of the list.

    Raises:
        InvalidRequestError: it is empty or too long.
        UnauthenticatedError: the request is not its requester's, there is no
            confirmation, it is not the holder's, or both are of one person.
    """
    if not 0 < len(content) <= limits.MAX_FOLLOW_UP_BYTES:
        told = f"must have 1 to {limits.MAX_FOLLOW_UP_BYTES:,} bytes"
        fault = Fault(field="payload", reason="WRONG_SIZE", message=told)
        raise InvalidRequestError.of([fault])
    asked = signed.request
    signed.signer(signers)
    if not confirmation:
        raise not_proven(
            "nobody has confirmed it yet; an officer does that first, with"
            " `biometrics followup confirm`"
        )
    confirmed_by = read_confirmation(confirmation, asked, signers)
    text = _payload_text(asked, content)
    note = Note(text, (key.sign(text),))
    _refuse_one_person(confirmed_by, own_signer_of(note, asked.holder, signers))
    clear = b"".join(
        len(part).to_bytes(_LENGTH_BYTES, "big") + part
        for part in (confirmation, note.data, content)
    ).ljust(limits.FOLLOW_UP_CLEAR_BYTES, b"\0")
    return seal_to(asked.key, clear, asked.holder, _SEALED_FOR, asked.follow_up_id)


def _unpacked(clear: bytes) -> list[bytes]:
    """Return the three parts of what was sealed.

    Raises:
        UnauthenticatedError: there are none.
    """
    parts, rest = [], clear
    for _ in range(3):
        size = int.from_bytes(rest[:_LENGTH_BYTES], "big")
        end = _LENGTH_BYTES + size
        if len(rest) < end:
            raise not_proven("what was sealed is no payload")
        parts.append(rest[_LENGTH_BYTES:end])
        rest = rest[end:]
    return parts


def _confirmation_text(request: FollowUpRequest) -> str:
    """Return what whoever confirms signs."""
    return _about(_CONFIRMATION, request.follow_up_id)


def _payload_text(request: FollowUpRequest, content: bytes) -> str:
    """Return what whoever gives the payload signs."""
    digest = hashlib.sha256(content).hexdigest()
    return f"{_about(_PAYLOAD, request.follow_up_id)}sha256 {digest}\n"


def _about(kind: str, follow_up_id: bytes) -> str:
    """Return the first lines of a text about a follow-up."""
    return f"{kind}\nfollow-up {follow_up_id.hex()}\n"


def _refuse_one_person(first: Signer, second: Signer) -> None:
    """Refuse what one person has both confirmed and given."""
    if first == second:
        raise not_proven(
            f"`{first.name}` has confirmed it, and another person has to give it"
        )


def _no_ticket() -> InvalidRequestError:
    """Return the error of what is no ticket; it never has the text in it."""
    return InvalidRequestError(
        "NOT_A_TICKET",
        "is no ticket of a follow-up; name the file that `biometrics followup request`"
        " wrote",
    )
