"""The only code that touches the database."""

from biometrics.store.agreements import AgreementReader, AgreementTable
from biometrics.store.answers import AnswerWriter
from biometrics.store.journal import JournalReader
from biometrics.store.records import RecordWriter
from biometrics.store.register import FIRST_EXPIRED, RecordReader
from biometrics.store.rows import (
    AgreementRow,
    Change,
    ChangeKind,
    Committed,
    Disclosed,
    Disposed,
    EnrolResult,
    ExpiredRow,
    GalleryCount,
    LiveRecord,
    Lives,
    NewProtection,
    NewRecord,
    NewReference,
    NewTemplate,
    Protected,
    Reason,
    RecordRow,
    Removed,
    SeenRecord,
    StoredTemplate,
    TemplateRow,
    WholeRecord,
)
from biometrics.store.store import Inspection, Store, inspect_store, open_store
from biometrics.store.whole import WholeReader

__all__ = [
    "FIRST_EXPIRED",
    "AgreementReader",
    "AgreementRow",
    "AgreementTable",
    "AnswerWriter",
    "Change",
    "ChangeKind",
    "Committed",
    "Disclosed",
    "Disposed",
    "EnrolResult",
    "ExpiredRow",
    "GalleryCount",
    "Inspection",
    "JournalReader",
    "LiveRecord",
    "Lives",
    "NewProtection",
    "NewRecord",
    "NewReference",
    "NewTemplate",
    "Protected",
    "Reason",
    "RecordReader",
    "RecordRow",
    "RecordWriter",
    "Removed",
    "SeenRecord",
    "Store",
    "StoredTemplate",
    "TemplateRow",
    "WholeReader",
    "WholeRecord",
    "inspect_store",
    "open_store",
]
