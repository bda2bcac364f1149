"""What must be true of the tables together, beyond what the database itself enforces.

Each rule is one question whose rows are what breaks it, so that the database does the
work in its own memory, and nothing here grows with the number of records. Nothing is
changed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.audit.leaf import LEAF_BYTES
from biometrics.audit.scribe import KEY_ID_BYTES
from biometrics.audit.tiles import WIDTH
from biometrics.audit.tree import HASH_BYTES
from biometrics.errors import (
    ConfigurationError,
    DefectError,
    Fault,
    InvalidRequestError,
)
from biometrics.members import Member
from biometrics.sealed import REFERENCES, Sealed
from biometrics.signing import is_note_of
from biometrics.store.failures import DATABASE_ERRORS, translate, translated
from biometrics.store.log_check import log_faults
from biometrics.store.rows import StoredReference, StoredReply
from biometrics.store.schema import COUNTER, METADATA, RECORD, REPLY, TEMPLATE
from biometrics.store.values import split_members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from biometrics.store.databases import Database

_RESTORE: Final = "; the database is damaged or was edited, restore it from a backup"
_LOST: Final = f"{_RESTORE}, and ask the holder to enrol the record again if it is new"


@dataclass(frozen=True, slots=True)
class _Rule:
    """A question without an answer where all is well.

    Attributes:
        reason: of the faults.
        where: the place of one, with `{}` for each column of its row.
        told: what is wrong, and what to do.
        asked: the statement.
    """

    reason: str
    where: str
    told: str
    asked: str


_RULES: Final = (
    _Rule(
        "JOURNAL_GAP",
        "journal, before position {}",
        f"a change is missing{_RESTORE}",
        "SELECT c.position FROM change c LEFT JOIN change b"
        " ON b.position = c.position - 1 WHERE c.position > 1 AND b.position IS NULL",
    ),
    _Rule(
        "JOURNAL_GAP",
        "journal, {} changes up to position {}",
        f"the journal does not end where it was counted to end{_RESTORE}",
        "SELECT n.changes, counter.journal_position FROM counter, (SELECT count(*) AS"
        " changes, coalesce(max(position), 0) AS last FROM change) AS n"
        " WHERE n.changes <> counter.journal_position"
        " OR n.last <> counter.journal_position",
    ),
    _Rule(
        "COUNTER_DAMAGED",
        "table counter, {} rows",
        f"it must have one{_RESTORE}",
        "SELECT n.rows FROM (SELECT count(*) AS rows FROM counter) AS n"
        " WHERE n.rows <> 1",
    ),
    _Rule(
        "JOURNAL_DAMAGED",
        "journal, position {}",
        f"the change is of no kind, or names templates it cannot have taken{_RESTORE}",
        "SELECT c.position FROM change c, counter WHERE"
        " c.kind NOT IN ('enrolled', 'withdrawn', 'locked', 'unlocked', 'rotated',"
        " 'destroyed')"
        " OR (c.kind <> 'withdrawn' AND (c.first_template IS NOT NULL"
        " OR c.templates IS NOT NULL))"
        " OR (c.first_template IS NULL) <> (c.templates IS NULL)"
        " OR c.templates NOT BETWEEN 1 AND :most_templates"
        " OR c.first_template < 1"
        " OR c.first_template + c.templates - 1 > counter.template_id",
    ),
    _Rule(
        "REPEATED_CHANGE",
        "journal, position {}",
        f"the record was enrolled or withdrawn twice{_RESTORE}",
        # A replacement enrols it again, and then withdraws what it was.
        "SELECT max(position) FROM change WHERE kind IN ('enrolled', 'withdrawn')"
        " GROUP BY member, record_id HAVING"
        " sum(CASE kind WHEN 'enrolled' THEN 1 ELSE -1 END) NOT IN (0, 1)",
    ),
    _Rule(
        "TEMPLATE_LEFT_BEHIND",
        "template {}",
        "the withdrawal at position {} took it, and it is there: somebody withdrawn is"
        f" back{_RESTORE}",
        "SELECT t.template_id, c.position FROM template t JOIN change c"
        " ON t.template_id BETWEEN c.first_template"
        " AND c.first_template + c.templates - 1 WHERE c.first_template IS NOT NULL",
    ),
    _Rule(
        "WITHDRAWN_RECORD",
        "record {}",
        f"it was withdrawn by the change at position {{}}, and is back{_RESTORE}",
        "SELECT r.number, max(c.position) FROM change c JOIN record r"
        " ON r.record_id = c.record_id AND r.member = c.member"
        " WHERE c.kind IN ('enrolled', 'withdrawn') GROUP BY r.number HAVING"
        " sum(CASE c.kind WHEN 'enrolled' THEN 1 ELSE -1 END) < 1",
    ),
    _Rule(
        "WITHDRAWN_REFERENCE",
        "record {}",
        f"its reference was withdrawn, and is live{_RESTORE}",
        "SELECT r.number FROM tombstone t JOIN record r"
        " ON r.member = t.member AND r.lookup = t.lookup",
    ),
    _Rule(
        "TOMBSTONE_MISSING",
        "table tombstone, member {}",
        "{} records were withdrawn, and fewer tombstones are there: a withdrawn"
        f" reference could be enrolled again{_RESTORE}",
        "SELECT w.member, w.taken FROM (SELECT member, count(*) AS taken FROM"
        " (SELECT c.member, c.record_id FROM change c"
        " LEFT JOIN (SELECT member, max(position) AS last FROM change"
        " WHERE kind = 'destroyed' GROUP BY member) AS d ON d.member = c.member"
        " WHERE c.kind IN ('enrolled', 'withdrawn')"
        " AND c.position > coalesce(d.last, 0)"
        " GROUP BY c.member, c.record_id HAVING"
        " sum(CASE c.kind WHEN 'enrolled' THEN 1 ELSE -1 END) = 0) AS gone"
        " GROUP BY member) AS w WHERE w.taken >"
        " (SELECT count(*) FROM tombstone t WHERE t.member = w.member)",
    ),
    _Rule(
        "ENROLMENT_MISSING",
        "record {}",
        f"no change of the journal says that it was enrolled{_RESTORE}",
        "SELECT r.number FROM record r LEFT JOIN change c ON c.position = r.number"
        " AND c.kind = 'enrolled' AND c.member = r.member"
        " AND c.record_id = r.record_id WHERE c.position IS NULL",
    ),
    _Rule(
        "RECORD_MISSING",
        "journal, position {}",
        f"the record that it enrolled is neither there nor withdrawn{_LOST}",
        # Whatever was enrolled before a destruction went with it.
        "SELECT max(c.position) FROM change c LEFT JOIN record r"
        " ON r.record_id = c.record_id AND r.member = c.member"
        " LEFT JOIN (SELECT member, max(position) AS last FROM change"
        " WHERE kind = 'destroyed' GROUP BY member) AS d ON d.member = c.member"
        " WHERE c.kind IN ('enrolled', 'withdrawn') AND r.number IS NULL"
        " AND c.position > coalesce(d.last, 0)"
        " GROUP BY c.member, c.record_id HAVING"
        " sum(CASE c.kind WHEN 'enrolled' THEN 1 ELSE -1 END) > 0",
    ),
    _Rule(
        "WITHDRAWAL_OF_NOBODY",
        "journal, position {}",
        f"the record that it withdrew was never enrolled before{_RESTORE}",
        "SELECT c.position FROM change c LEFT JOIN (SELECT member, record_id, position"
        " FROM change WHERE kind = 'enrolled') AS e ON e.record_id = c.record_id"
        " AND e.member = c.member AND e.position < c.position"
        " WHERE c.kind = 'withdrawn' AND e.position IS NULL",
    ),
    _Rule(
        "TEMPLATES_MISSING",
        "record {}",
        f"it has no template{_LOST}",
        "SELECT r.number FROM record r LEFT JOIN template t"
        " ON t.record_number = r.number WHERE t.template_id IS NULL",
    ),
    _Rule(
        "TEMPLATES_MISSING",
        "record {}",
        f"its templates are not those it was enrolled with{_LOST}",
        "SELECT record_number FROM template GROUP BY record_number HAVING"
        " min(template_id - sample) <> max(template_id - sample) OR min(sample) <> 0"
        " OR max(sample) <> count(*) - 1"
        " OR count(*) > :most_templates",
    ),
    _Rule(
        "TEMPLATES_MISSING",
        "table template, {} numbers of {}",
        f"some templates are neither there nor withdrawn{_LOST}",
        # Neither does a withdrawal that schema 0001 wrote say how many went, nor a
        # destruction.
        "SELECT n.live + n.gone, counter.template_id FROM counter, (SELECT"
        " (SELECT count(*) FROM template) AS live,"
        " (SELECT coalesce(sum(templates), 0) FROM change) AS gone,"
        " (SELECT count(*) FROM change WHERE kind = 'withdrawn'"
        " AND templates IS NULL) + (SELECT count(*) FROM change"
        " WHERE kind = 'destroyed') AS untold) AS n"
        " WHERE n.live + n.gone > counter.template_id"
        " OR (n.untold = 0 AND n.live + n.gone < counter.template_id)",
    ),
    _Rule(
        "WRONG_COUNT",
        "comparisons in `{}`",
        f"more templates are there than there ever were{_RESTORE}",
        "SELECT g.space FROM gallery g LEFT JOIN comparison c ON c.space = g.space"
        " GROUP BY g.space HAVING sum(g.templates)"
        " - (SELECT count(*) FROM protection p JOIN template t"
        " ON t.record_number = p.record_number"
        " WHERE p.is_canary = 1 AND t.space = g.space)"
        " > coalesce(max(c.most), 0)",
    ),
    _Rule(
        "UNKNOWN_WORD",
        "table {}, {}",
        f"it has a word that is none of those it may have{_RESTORE}",
        "SELECT 'custody', member FROM custody"
        " WHERE state NOT IN ('open', 'locked', 'destroyed')"
        " UNION ALL SELECT 'membership', member FROM membership"
        " WHERE membership NOT IN ('active', 'suspended', 'left')"
        " UNION ALL SELECT 'tombstone', member FROM tombstone"
        " WHERE reason NOT IN ('withdrawn', 'expired')"
        " UNION ALL SELECT 'erasure', member FROM erasure"
        " WHERE kind NOT IN ('rotation', 'destruction')"
        " UNION ALL SELECT 'follow_up', requester FROM follow_up"
        " WHERE state NOT IN ('requested', 'confirmed', 'released', 'refused', 'read',"
        " 'expired') OR refusal NOT IN ('basis-insufficient', 'purpose-not-covered',"
        " 'request-not-proven', 'match-not-upheld', 'nothing-to-give', 'other')",
    ),
    _Rule(
        "FOLLOW_UP_DAMAGED",
        "a follow-up of {} with {}",
        f"what there is of it does not go with its state, `{{}}`{_RESTORE}",
        "SELECT f.requester, f.holder, f.state FROM follow_up f"
        " LEFT JOIN (SELECT follow_up_id, count(*) AS records FROM follow_up_record"
        " GROUP BY follow_up_id) AS r ON r.follow_up_id = f.follow_up_id"
        " WHERE (f.state = 'released') <> (f.payload IS NOT NULL)"
        " OR (f.state IN ('confirmed', 'released')) <> (f.confirmation IS NOT NULL)"
        " OR (f.state = 'refused') <> (f.refusal IS NOT NULL)"
        " OR (f.state IN ('requested', 'confirmed', 'released'))"
        " <> (r.records IS NOT NULL)",
    ),
    _Rule(
        "TEMPLATE_ORPHANED",
        "template {}",
        f"it is of no record{_RESTORE}",
        "SELECT t.template_id FROM template t LEFT JOIN record r"
        " ON r.number = t.record_number WHERE r.number IS NULL",
    ),
    _Rule(
        "PROTECTION_MISSING",
        "record {}",
        "what protects it is missing: its gallery is UNAVAILABLE to whom it matches"
        f"{_RESTORE}",
        "SELECT r.number FROM record r LEFT JOIN protection p"
        " ON p.record_number = r.number WHERE p.record_number IS NULL",
    ),
    _Rule(
        "WRONG_KEY",
        "template {}",
        f"it names a key of another gallery, or of none{_RESTORE}",
        "SELECT t.template_id FROM template t JOIN record r"
        " ON r.number = t.record_number LEFT JOIN gallery_key k ON k.key_id = t.key_id"
        " AND k.member = r.member AND k.gallery = t.space WHERE k.key_id IS NULL",
    ),
    _Rule(
        "WRONG_KEY",
        "record {}",
        f"its reference names a key of another gallery, or of none{_RESTORE}",
        "SELECT r.number FROM record r LEFT JOIN gallery_key k"
        " ON k.key_id = r.reference_key_id AND k.member = r.member"
        " AND k.gallery = :of_references WHERE k.key_id IS NULL",
    ),
    _Rule(
        "WRONG_COUNT",
        "gallery of {} in `{}`",
        f"{{}} templates of {{}} records are counted, {{}} of {{}} are there{_LOST}",
        "SELECT n.member, n.space, sum(n.told), sum(n.told_records), sum(n.held),"
        " sum(n.held_records) FROM ("
        "SELECT member, space, templates AS told, records AS told_records,"
        " 0 AS held, 0 AS held_records FROM gallery"
        " UNION ALL SELECT r.member, t.space, 0, 0, count(*),"
        " count(DISTINCT r.number) FROM template t JOIN record r"
        " ON r.number = t.record_number GROUP BY r.member, t.space) AS n"
        " GROUP BY n.member, n.space HAVING sum(n.told) <> sum(n.held)"
        " OR sum(n.told_records) <> sum(n.held_records)",
    ),
)

_VALUES: Final = {
    "most_templates": limits.MAX_TEMPLATES_PER_RECORD,
    "of_references": REFERENCES,
    "most": limits.MAX_FAULTS_A_QUESTION + 1,
}

# How long values are; and, in SQLite, which keeps whatever it is given, their types.
_BYTES: Final = {
    "gallery_key": {"commitment": 32},
    "record": {"record_id": 16, "lookup": 32, "content_digest": 32},
    "protection": {"record_tag": 32},
    "tombstone": {"lookup": 32},
    "change": {"record_id": 16},
    "reply": {"request_id": 16, "digest": 32},
    "reference": {"reference_digest": 32},
    "near_search": {"record_id": 16},
    "frozen_record": {"record_id": 16, "case_id": 8},
    "reference_record": {"reference_digest": 32, "record_id": 16, "lookup": 32},
    "follow_up": {
        "follow_up_id": limits.FOLLOW_UP_ID_BYTES,
        "payload": limits.FOLLOW_UP_SEALED_BYTES,
    },
    "follow_up_record": {"record_id": 16, "lookup": 32},
    "agreement": {"digest": 32},
    "log_leaf": {"leaf": LEAF_BYTES},
    "log_tile": {"root": HASH_BYTES, "hashes": WIDTH * HASH_BYTES},
    "log_key": {"key_id": KEY_ID_BYTES},
}
_TYPES: Final = {sa.Integer: "integer", sa.LargeBinary: "blob", sa.Text: "text"}
# Where codes of members stand: alone, or with a space between.
_CODES: Final = {
    "gallery_key": "member",
    "index_key": "member",
    "record": "member",
    "protection": "excluded",
    "tombstone": "member",
    "gallery": "member",
    "change": "member",
    "reply": "member",
    "agreement": "holder",
    "custody": "member",
    "membership": "member",
    "erasure": "member",
    "log_key": "member",
    "cosignature": "member",
    "near_search": "requester",
    "frozen_record": "requester",
    "alert": "requester",
    "quota_use": "requester",
    "follow_up": "requester",
}

_NUMBERS: Final = (
    sa.select(TEMPLATE.c.template_id)
    .where(TEMPLATE.c.template_id > sa.bindparam("after"))
    .order_by(TEMPLATE.c.template_id)
    .limit(sa.bindparam("most"))
)
_OF_GALLERY: Final = (
    sa.select(TEMPLATE.c.template_id)
    .join_from(TEMPLATE, RECORD)
    .where(
        RECORD.c.member == sa.bindparam("of_member"),
        TEMPLATE.c.space == sa.bindparam("of_space"),
        TEMPLATE.c.position == sa.bindparam("of_position"),
        RECORD.c.number <= sa.bindparam("up_to"),
        TEMPLATE.c.template_id > sa.bindparam("after"),
    )
    .order_by(TEMPLATE.c.template_id)
    .limit(sa.bindparam("most"))
)
_REFERENCES: Final = (
    sa.select(
        RECORD.c.number,
        RECORD.c.record_id,
        RECORD.c.member,
        RECORD.c.generation,
        RECORD.c.lookup,
        RECORD.c.reference_key_id,
        RECORD.c.reference_wrapped_key,
        RECORD.c.reference_ciphertext,
    )
    .where(RECORD.c.number > sa.bindparam("after"))
    .order_by(RECORD.c.number)
    .limit(sa.bindparam("most"))
)
_REPLIES: Final = (
    sa.select(REPLY.c.reply_id, REPLY.c.member, REPLY.c.request_id, REPLY.c.body)
    .where(REPLY.c.reply_id > sa.bindparam("after"))
    .order_by(REPLY.c.reply_id)
    .limit(sa.bindparam("most"))
)
_COUNTS: Final = sa.select(
    sa.select(sa.func.count(RECORD.c.number)).scalar_subquery().label("records"),
    sa.select(sa.func.count(TEMPLATE.c.template_id))
    .scalar_subquery()
    .label("templates"),
    sa.select(sa.func.count(REPLY.c.reply_id)).scalar_subquery().label("replies"),
    # Of the one row that is there, or of none or several in a damaged database.
    sa.select(sa.func.coalesce(sa.func.max(COUNTER.c.journal_position), 0))
    .scalar_subquery()
    .label("position"),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is to be opened, and up to which position of the journal."""

    records: int = 0
    templates: int = 0
    replies: int = 0
    position: int = 0


class Consistency:
    """Asks whether a database is what it was written as; changes nothing.

    For a database that nobody writes to meanwhile: each question sees a moment of its
    own.
    """

    def __init__(self, database: Database) -> None:
        """Ask `database`."""
        self._database = database

    def faults(self, show: Callable[[int, int], None]) -> Iterator[Fault]:
        """Yield everything that is wrong with the tables, without opening a value.

        Args:
            show: called with how many questions were asked, of how many.
        """
        questions: Sequence[Callable[[], Iterator[Fault]]] = (
            self._of_files,
            *(lambda t=table: self._of_values(t) for table in METADATA.sorted_tables),
            *(lambda r=rule: self._broken(r) for rule in _RULES),
            *(lambda t=name: self._of_codes(t) for name in _CODES),
            self._of_agreements,
            self._of_follow_ups,
            lambda: log_faults(self._database.reading),
        )
        for done, ask in enumerate(questions):
            show(done, len(questions))
            try:
                yield from ask()
            except DATABASE_ERRORS as error:
                told = translate(error)
                yield Fault(field="database", reason=told.reason, message=told.message)
        show(len(questions), len(questions))

    def counts(self) -> Counts:
        """Return how many rows there are that have sealed values.

        Raises:
            ExchangeError: they cannot be read.
        """
        with translated():
            (row,) = self._rows(_COUNTS)
        return Counts(*row)

    def template_numbers(self) -> Iterator[list[int]]:
        """Yield the numbers of all templates, some at a time, in their order."""
        for rows in self._pages(_NUMBERS):
            yield [number for (number,) in rows]

    def numbers_of_gallery(
        self, member: Member, space: str, position: str, up_to: int
    ) -> Iterator[int]:
        """Yield the numbers of a gallery's templates at one position on the body.

        Args:
            member: the holder.
            space: name of the template space.
            position: where on the body.
            up_to: position of the journal; what was enrolled after is left out.
        """
        values = {"of_member": member.code, "of_space": space, "up_to": up_to}
        for rows in self._pages(_OF_GALLERY, **values, of_position=position):
            for (number,) in rows:
                yield number

    def references(self) -> Iterator[list[tuple[int, StoredReference | None]]]:
        """Yield numbers of records with their sealed references, some at a time.

        None for the reference of a row that is none.
        """
        for rows in self._pages(_REFERENCES):
            yield [(row.number, _reference(row)) for row in rows]

    def replies(self) -> Iterator[list[tuple[int, StoredReply | None]]]:
        """Yield numbers of stored answers with what they hold, some at a time."""
        for rows in self._pages(_REPLIES):
            yield [(row.reply_id, _reply(row)) for row in rows]

    def _of_files(self) -> Iterator[Fault]:
        """Yield what is missing at its end, and what it finds wrong with its files."""
        try:
            refuse_behind(self._database)
        except ConfigurationError as error:
            yield Fault(field="database", reason=error.reason, message=error.message)
        for told in self._database.damage(limits.MAX_FAULTS_A_QUESTION):
            message = f"the database says: {told}{_RESTORE}"
            yield Fault(field="database", reason="STORAGE_DAMAGED", message=message)

    def _of_values(self, table: sa.Table) -> Iterator[Fault]:
        """Yield the rows of a table with a value that cannot be one."""
        # Rows are named by numbers and texts; bytes would say nothing to a person.
        keys = [
            key.name
            for key in table.primary_key
            if not isinstance(key.type, sa.LargeBinary)
        ]
        is_typeless = self._database.reading.dialect.name == "sqlite"
        conditions = list(_wrong_values(table, is_typeless=is_typeless))
        wrong = " OR ".join(conditions or ["1 = 0"])
        asked = (
            f"SELECT {', '.join([*keys, '0'])} FROM {table.name}"  # noqa: S608 - of our tables
            f" WHERE {wrong} LIMIT {limits.MAX_FAULTS_A_QUESTION}"
        )
        for *row, _ in self._rows(sa.text(asked)):
            yield Fault(
                field=", row ".join((f"table {table.name}", *map(str, row))),
                reason="WRONG_VALUE",
                message=f"a value has another type or size than it was given{_RESTORE}",
            )

    def _broken(self, rule: _Rule) -> Iterator[Fault]:
        """Yield what breaks a rule; the last one says that there is more."""
        most = limits.MAX_FAULTS_A_QUESTION
        rows = self._rows(sa.text(f"{rule.asked} LIMIT :most"), _VALUES)
        for row in rows[:most]:
            named = rule.where.count("{}")
            yield Fault(
                field=rule.where.format(*row[:named]),
                reason=rule.reason,
                message=rule.told.format(*row[named:]),
            )
        if len(rows) > most:
            message = f"more than {most} are like the one before"
            yield Fault(field="database", reason=rule.reason, message=message)

    def _of_codes(self, name: str) -> Iterator[Fault]:
        """Yield codes in a table that are no member's."""
        column = METADATA.tables[name].c[_CODES[name]]
        for (text,) in self._rows(sa.select(column).distinct()):
            try:
                split_members(text) if name == "protection" else Member(text)
            except (DefectError, InvalidRequestError, AttributeError, TypeError):
                yield Fault(
                    field=f"table {name}, column {column.name}",
                    reason="UNKNOWN_MEMBER",
                    message=f"a row names no member{_RESTORE}",
                )

    def _of_agreements(self) -> Iterator[Fault]:
        """Yield versions of agreements that are not what was kept."""
        table = METADATA.tables["agreement"]
        for row in self._rows(sa.select(table.c.holder, table.c.digest, table.c.data)):
            if hashlib.sha256(row.data).digest() != row.digest:
                yield Fault(
                    field=f"agreement of {row.holder}",
                    reason="AGREEMENT_DAMAGED",
                    message=f"its content is not what was kept{_RESTORE}",
                )

    def _of_follow_ups(self) -> Iterator[Fault]:
        """Yield follow-ups whose request is not the one that was signed."""
        table = METADATA.tables["follow_up"]
        columns = (table.c.requester, table.c.holder, table.c.follow_up_id)
        for row in self._rows(sa.select(*columns, table.c.note)):
            if not is_note_of(row.note, row.follow_up_id):
                yield Fault(
                    field=f"a follow-up of {row.requester} with {row.holder}",
                    reason="FOLLOW_UP_DAMAGED",
                    message=f"its request is not what was signed{_RESTORE}",
                )

    def _rows(
        self, asked: sa.Executable, values: Mapping[str, object] | None = None
    ) -> Sequence[sa.Row[*tuple[Any, ...]]]:
        """Return the rows of one question."""
        with self._database.reading.connect() as connection:
            return connection.execute(asked, values).all()

    def _pages(
        self, asked: sa.Select[*tuple[Any, ...]], **values: object
    ) -> Iterator[Sequence[sa.Row[*tuple[Any, ...]]]]:
        """Yield rows some at a time, in the order of their first column.

        Raises:
            ExchangeError: they cannot be read on.
        """
        after = -1
        most = limits.STORE_IDS_PER_QUERY
        while True:
            with translated(), self._database.reading.connect() as connection:
                rows = connection.execute(
                    asked, values | {"after": after, "most": most}
                ).all()
            if not rows:
                return
            yield rows
            after = rows[-1][0]


def refuse_behind(database: Database) -> None:
    """Refuse a database that lacks commits which it has acknowledged.

    Raises:
        ConfigurationError: it does; not where nothing is known of them.
    """
    if database.is_behind():
        raise ConfigurationError(
            "DATABASE_BEHIND",
            f"`{database}` lacks its last changes, which were acknowledged: the end of"
            " its log is damaged or lost, or an old copy was put in its place; restore"
            " a backup with `biometrics restore`. To go on without them, withdrawals"
            f" and protections among them, delete `{database}.lock`",
        )


def _wrong_values(table: sa.Table, *, is_typeless: bool) -> Iterator[str]:
    """Yield conditions that no row of a table meets as it was written."""
    for column in table.c:
        if (size := _BYTES.get(table.name, {}).get(column.name)) is not None:
            yield f"length({column.name}) <> {size}"
        if isinstance(column.type, sa.Integer):
            yield f"{column.name} < 0"
        if is_typeless:
            kind = next(k for of, k in _TYPES.items() if isinstance(column.type, of))
            kinds = f"'{kind}', 'null'" if column.nullable else f"'{kind}'"
            yield f"typeof({column.name}) NOT IN ({kinds})"


def _reference(row: sa.Row[*tuple[Any, ...]]) -> StoredReference | None:
    """Return a row of `_REFERENCES` as a value; None if it is none."""
    kinds = (bytes, str, int, bytes, int, bytes, bytes)
    if not all(map(isinstance, row[1:], kinds)) or row.generation < 0:
        return None
    try:
        member = Member(row.member)
    except InvalidRequestError:
        return None
    return StoredReference(
        record_id=row.record_id,
        member=member,
        generation=row.generation,
        lookup=row.lookup,
        sealed=Sealed(
            key_id=row.reference_key_id,
            wrapped_key=row.reference_wrapped_key,
            ciphertext=row.reference_ciphertext,
        ),
    )


def _reply(row: sa.Row[*tuple[Any, ...]]) -> StoredReply | None:
    """Return a row of `_REPLIES` as a value; None if it is none."""
    if not all(map(isinstance, row[1:], (str, bytes, bytes))):
        return None
    try:
        member = Member(row.member)
    except InvalidRequestError:
        return None
    return StoredReply(member=member, request_id=row.request_id, body=row.body)
