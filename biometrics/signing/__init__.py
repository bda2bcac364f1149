"""Signed notes: agreements, and whose keys count; what the exchange states."""

from biometrics.signing.agreements import SignedVersion, statement_of, verify_version
from biometrics.signing.erasure import Erased, erasure_note
from biometrics.signing.files import create_signing_key, read_signing_key
from biometrics.signing.keys import SigningKey, VerifierKey
from biometrics.signing.note import Note, Signature
from biometrics.signing.proposal import Signed, approve, propose
from biometrics.signing.sealing_key import read_sealing_key, sealing_key_note
from biometrics.signing.signers import Signer, Signers, parse_signers

__all__ = [
    "Erased",
    "Note",
    "Signature",
    "Signed",
    "SignedVersion",
    "Signer",
    "Signers",
    "SigningKey",
    "VerifierKey",
    "approve",
    "create_signing_key",
    "erasure_note",
    "parse_signers",
    "propose",
    "read_sealing_key",
    "read_signing_key",
    "sealing_key_note",
    "statement_of",
    "verify_version",
]
