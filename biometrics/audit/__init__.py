"""The log that members verify themselves: leaves, receipts, checkpoints, and proofs."""

from biometrics.audit.auditor import AuditorKey, AuditorSecret
from biometrics.audit.checkpoint import Checkpoint, origin_of
from biometrics.audit.entry import Entry, Kind, Mention
from biometrics.audit.leaf import Leaf
from biometrics.audit.receipt import (
    OPENING_BYTES,
    Receipt,
    ReceiptIssuer,
    answer_text,
    commitment,
)
from biometrics.audit.scribe import HandedKey, Scribe, Written

__all__ = [
    "OPENING_BYTES",
    "AuditorKey",
    "AuditorSecret",
    "Checkpoint",
    "Entry",
    "HandedKey",
    "Kind",
    "Leaf",
    "Mention",
    "Receipt",
    "ReceiptIssuer",
    "Scribe",
    "Written",
    "answer_text",
    "commitment",
    "origin_of",
]
