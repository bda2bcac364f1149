"""Signed notes: agreements, and whose keys count; what the exchange states."""

from biometrics.signing.agreements import SignedVersion, statement_of, verify_version
from biometrics.signing.erasure import Erased, erasure_note
from biometrics.signing.files import create_signing_key, read_signing_key
from biometrics.signing.follow_up import (
    FollowUpPayload,
    FollowUpTicket,
    confirmation_note,
    read_confirmation,
    refuse_other_confirmation,
    seal_payload,
)
from biometrics.signing.follow_up_request import (
    FollowUpRequest,
    SignedRequest,
    is_note_of,
)
from biometrics.signing.keys import SigningKey, VerifierKey
from biometrics.signing.note import Note, Signature
from biometrics.signing.proposal import Signed, approve, propose
from biometrics.signing.sealing_key import read_sealing_key, sealing_key_note
from biometrics.signing.signers import Signer, Signers, parse_signers, read_signers

__all__ = [
    "Erased",
    "FollowUpPayload",
    "FollowUpRequest",
    "FollowUpTicket",
    "Note",
    "Signature",
    "Signed",
    "SignedRequest",
    "SignedVersion",
    "Signer",
    "Signers",
    "SigningKey",
    "VerifierKey",
    "approve",
    "confirmation_note",
    "create_signing_key",
    "erasure_note",
    "is_note_of",
    "parse_signers",
    "propose",
    "read_confirmation",
    "read_sealing_key",
    "read_signers",
    "read_signing_key",
    "refuse_other_confirmation",
    "seal_payload",
    "sealing_key_note",
    "statement_of",
    "verify_version",
]
