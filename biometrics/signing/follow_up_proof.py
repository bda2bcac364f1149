"""Who stands for what two members send one another in a follow-up.

Each is known by one's own copy of the list of signers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.errors import InvalidRequestError, UnauthenticatedError
from biometrics.signing.note import Note

if TYPE_CHECKING:
    from biometrics.members import Member
    from biometrics.signing.signers import Signer, Signers


def other_note(data: bytes) -> Note:
    """Return a note that the other side made.

    Raises:
        UnauthenticatedError: it is none.
    """
    try:
        return Note.parse(data)
    except InvalidRequestError as error:
        raise not_proven(f"a note of it {error.message}") from error


def signer_of(note: Note, member: Member, signers: Signers) -> Signer:
    """Return the first signer listed for a member whose good signature is below a note.

    Raises:
        UnauthenticatedError: there is none.
    """
    for signer in signers.of(member):
        for each in note.signatures:
            named = (each.name, each.key_id) == (signer.key.name, signer.key.key_id)
            if named and signer.key.has_signed(note.text, each):
                return signer
    raise not_proven(
        f"nobody whom your list of signers has for {member} has signed it; compare the"
        " list with theirs, and take nothing of it until you know why"
    )


def own_signer_of(note: Note, member: Member, signers: Signers) -> Signer:
    """Return who signed a note that was signed here.

    Raises:
        UnauthenticatedError: the key is not listed for the member.
    """
    try:
        return signer_of(note, member, signers)
    except UnauthenticatedError as error:
        raise UnauthenticatedError(
            error.reason,
            f"your signing key is not one that your list of signers has for {member};"
            " sign with one that is, or correct the list",
        ) from error


def not_proven(told: str) -> UnauthenticatedError:
    """Return the error of what the other member does not stand for."""
    return UnauthenticatedError(
        "FOLLOW_UP_NOT_PROVEN", f"the follow-up is not proven: {told}"
    )
