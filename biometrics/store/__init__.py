"""The only code that touches the database."""

from biometrics.store.agreements import AgreementReader, AgreementTable
from biometrics.store.answers import AnswerWriter
from biometrics.store.consistency import Consistency, Counts
from biometrics.store.custody import CustodyWriter, RequestKey
from biometrics.store.journal import JournalReader
from biometrics.store.records import RecordWriter
from biometrics.store.register import RecordReader
from biometrics.store.rotation import Rewrapped, RotationWriter, WrappedValue
from biometrics.store.rows import (
    AgreementRow,
    Change,
    ChangeKind,
    Committed,
    Custody,
    CustodyState,
    DeletedKey,
    Disclosed,
    EnrolResult,
    ErasureKind,
    ErasureRow,
    GalleryCount,
    LiveRecord,
    NewProtection,
    NewRecord,
    NewReference,
    NewTemplate,
    Protected,
    RecordRow,
    SeenRecord,
    StoredReference,
    StoredTemplate,
)
from biometrics.store.store import Inspection, Store, inspect_store, open_store

__all__ = [
    "AgreementReader",
    "AgreementRow",
    "AgreementTable",
    "AnswerWriter",
    "Change",
    "ChangeKind",
    "Committed",
    "Consistency",
    "Counts",
    "Custody",
    "CustodyState",
    "CustodyWriter",
    "DeletedKey",
    "Disclosed",
    "EnrolResult",
    "ErasureKind",
    "ErasureRow",
    "GalleryCount",
    "Inspection",
    "JournalReader",
    "LiveRecord",
    "NewProtection",
    "NewRecord",
    "NewReference",
    "NewTemplate",
    "Protected",
    "RecordReader",
    "RecordRow",
    "RecordWriter",
    "RequestKey",
    "Rewrapped",
    "RotationWriter",
    "SeenRecord",
    "Store",
    "StoredReference",
    "StoredTemplate",
    "WrappedValue",
    "inspect_store",
    "open_store",
]
