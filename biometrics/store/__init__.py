"""The only code that touches the database."""

from biometrics.store.agreements import AgreementReader, AgreementTable
from biometrics.store.answer_rows import (
    Disclosed,
    NearSearch,
    NewReference,
    QuotaUse,
    SeenRecord,
    Taken,
)
from biometrics.store.answers import AnswerWriter
from biometrics.store.budget import Budget
from biometrics.store.consistency import Consistency
from biometrics.store.cosignatures import CosignatureTable, Cosigned
from biometrics.store.custody import CustodyWriter, RequestKey
from biometrics.store.custody_rows import (
    CHANGE_ID_BYTES,
    Custody,
    CustodyState,
    DeletedKey,
    ErasureKind,
    ErasureRow,
)
from biometrics.store.follow_up_rows import (
    Agreed,
    FollowUpRow,
    FollowUpState,
    NewFollowUp,
    ReceivedRow,
    Refusal,
    Terms,
)
from biometrics.store.follow_ups import FollowUpTable
from biometrics.store.front_ends import NAME_BYTES, FrontEndTable, Seen
from biometrics.store.journal import JournalReader
from biometrics.store.log import Appended, LogHead, LogReader, LogWriter, OwnPart
from biometrics.store.records import RecordWriter
from biometrics.store.register import FIRST_EXPIRED, RecordReader
from biometrics.store.review_rows import AlertKind, AlertRow, FreezeRow, Side, Verdict
from biometrics.store.reviews import ReviewTable
from biometrics.store.rotation import Rewrapped, RotationWriter, WrappedValue
from biometrics.store.rows import (
    AgreementRow,
    Change,
    ChangeKind,
    Committed,
    Disposed,
    EnrolResult,
    ExpiredRow,
    GalleryCount,
    LiveRecord,
    Lives,
    NewProtection,
    NewRecord,
    NewTemplate,
    Protected,
    Reason,
    RecordRow,
    Removed,
    StoredReference,
    StoredTemplate,
    TemplateRow,
    WholeRecord,
)
from biometrics.store.sealed_rows import Counts, SealedRows
from biometrics.store.store import Inspection, Store, inspect_store, open_store
from biometrics.store.whole import WholeReader

__all__ = [
    "CHANGE_ID_BYTES",
    "FIRST_EXPIRED",
    "NAME_BYTES",
    "Agreed",
    "AgreementReader",
    "AgreementRow",
    "AgreementTable",
    "AlertKind",
    "AlertRow",
    "AnswerWriter",
    "Appended",
    "Budget",
    "Change",
    "ChangeKind",
    "Committed",
    "Consistency",
    "CosignatureTable",
    "Cosigned",
    "Counts",
    "Custody",
    "CustodyState",
    "CustodyWriter",
    "DeletedKey",
    "Disclosed",
    "Disposed",
    "EnrolResult",
    "ErasureKind",
    "ErasureRow",
    "ExpiredRow",
    "FollowUpRow",
    "FollowUpState",
    "FollowUpTable",
    "FreezeRow",
    "FrontEndTable",
    "GalleryCount",
    "Inspection",
    "JournalReader",
    "LiveRecord",
    "Lives",
    "LogHead",
    "LogReader",
    "LogWriter",
    "NearSearch",
    "NewFollowUp",
    "NewProtection",
    "NewRecord",
    "NewReference",
    "NewTemplate",
    "OwnPart",
    "Protected",
    "QuotaUse",
    "Reason",
    "ReceivedRow",
    "RecordReader",
    "RecordRow",
    "RecordWriter",
    "Refusal",
    "Removed",
    "RequestKey",
    "ReviewTable",
    "Rewrapped",
    "RotationWriter",
    "SealedRows",
    "Seen",
    "SeenRecord",
    "Side",
    "Store",
    "StoredReference",
    "StoredTemplate",
    "Taken",
    "TemplateRow",
    "Terms",
    "Verdict",
    "WholeReader",
    "WholeRecord",
    "WrappedValue",
    "inspect_store",
    "open_store",
]
