"""Who signed an agreement: notes, keys, and whose keys count."""

from biometrics.signing.agreements import SignedVersion, statement_of, verify_version
from biometrics.signing.keys import SigningKey, VerifierKey
from biometrics.signing.note import Note, Signature
from biometrics.signing.signers import Signer, Signers, parse_signers

__all__ = [
    "Note",
    "Signature",
    "SignedVersion",
    "Signer",
    "Signers",
    "SigningKey",
    "VerifierKey",
    "parse_signers",
    "statement_of",
    "verify_version",
]
