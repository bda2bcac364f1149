"""The journal of changes: whoever follows it sees every write once, in order."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from itertools import takewhile
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.errors import DefectError
from biometrics.sealed import Sealed
from biometrics.store.entries import end_of, is_of_one_record
from biometrics.store.failures import translated
from biometrics.store.rows import Change, ChangeKind, StoredTemplate
from biometrics.store.schema import (
    CHANGE,
    COMPARISON,
    COUNTER,
    GALLERY,
    PROTECTION,
    RECORD,
    TEMPLATE,
)
from biometrics.store.values import member_of, moment_or_none, split_members

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from biometrics.members import Member
    from biometrics.store.rows import Enrolled

TEMPLATES: Final = (
    sa.select(
        RECORD.c.number,
        TEMPLATE.c.template_id,
        RECORD.c.record_id,
        RECORD.c.member,
        TEMPLATE.c.space,
        TEMPLATE.c.position,
        TEMPLATE.c.modality,
        TEMPLATE.c.sample,
        RECORD.c.generation,
        TEMPLATE.c.quality,
        TEMPLATE.c.key_id,
        TEMPLATE.c.wrapped_key,
        TEMPLATE.c.ciphertext,
        PROTECTION.c.excluded,
        RECORD.c.expires_at,
        PROTECTION.c.record_tag,
        RECORD.c.lookup,
        PROTECTION.c.is_canary,
    )
    .join_from(TEMPLATE, RECORD)
    .join(PROTECTION)  # without protection a record is not read at all
)

_OF_IDS: Final = TEMPLATES.where(
    TEMPLATE.c.template_id.in_(sa.bindparam("ids", expanding=True))
)
_OF_RECORDS: Final = TEMPLATES.where(
    RECORD.c.member == sa.bindparam("holder"),
    RECORD.c.lookup.in_(sa.bindparam("lookups", expanding=True)),
).order_by(RECORD.c.number, TEMPLATE.c.template_id)
_OF_CHANGES: Final = TEMPLATES.where(
    RECORD.c.number.between(sa.bindparam("first"), sa.bindparam("last"))
).order_by(RECORD.c.number, TEMPLATE.c.template_id)
_OF_HOLDER: Final = _OF_CHANGES.where(RECORD.c.member == sa.bindparam("holder"))
# Whether a template is still there that a withdrawal says it took.
_LEFT_BEHIND: Final = sa.exists().where(
    TEMPLATE.c.template_id.between(
        CHANGE.c.first_template, CHANGE.c.first_template + CHANGE.c.templates - 1
    )
)
_CHANGES: Final = (
    sa.select(
        CHANGE.c.position,
        CHANGE.c.kind,
        CHANGE.c.member,
        CHANGE.c.record_id,
        CHANGE.c.first_template,
        CHANGE.c.templates,
        _LEFT_BEHIND.label("left_behind"),
    )
    .where(CHANGE.c.position > sa.bindparam("after"))
    .order_by(CHANGE.c.position)
    .limit(sa.bindparam("most"))
)
_ENTRY: Final = sa.select(CHANGE.c.record_id).where(
    CHANGE.c.position == sa.bindparam("at")
)
_MOST: Final = sa.select(COMPARISON.c.space, COMPARISON.c.most)
_GALLERIES: Final = sa.select(GALLERY.c.member, GALLERY.c.space).where(
    GALLERY.c.member.in_(sa.bindparam("members", expanding=True))
)
_NEXT: Final = sa.select(COUNTER.c.template_id + 1)


class JournalHead:
    """The last position that this process has made durable; waiters sleep on it.

    Who follows is a moment behind, and would read from the database what this process
    has in memory: so the last enrolments are kept until they were followed. They are
    kept in order and without a gap to the head; whatever else is written, or comes out
    of order, takes their place with nothing, and is read.
    """

    def __init__(self) -> None:
        """Begin before the first change."""
        self._position = 0
        self._moved = threading.Condition()
        self._kept: deque[Enrolled] = deque()
        self._kept_bytes = 0

    def advance(self, position: int, enrolled: Enrolled | None = None) -> None:
        """Wake whoever waits for a change up to `position`.

        Args:
            position: of the last change of a write that is durable.
            enrolled: all that it has written into the journal, if it has enrolled.
        """
        with self._moved:
            if position > self._position:
                self._keep(enrolled)
                self._position = position
                self._moved.notify_all()

    def followed(self, after: int, most: int) -> list[Enrolled]:
        """Return kept enrolments that follow on a position; drop those up to it.

        Args:
            after: position of the last change seen.
            most: at most so many changes, but for the last enrolment's.
        """
        with self._moved:
            while self._kept and self._kept[0].last <= after:
                self._drop()
            if not self._kept or self._kept[0].first != after + 1:
                return []
            return list(takewhile(lambda one: one.first <= after + most, self._kept))

    def _keep(self, enrolled: Enrolled | None) -> None:
        """Keep an enrolment behind those that it follows on, and nothing else."""
        follows = enrolled is not None and enrolled.first == self._position + 1
        while self._kept and not follows:
            self._drop()
        if enrolled is None:
            return
        self._kept.append(enrolled)
        self._kept_bytes += enrolled.size
        while self._kept_bytes > limits.FOLLOWED_BYTES:  # nobody follows, or is slow
            self._drop()

    def _drop(self) -> None:
        """Forget the oldest enrolment that is kept."""
        self._kept_bytes -= self._kept.popleft().size

    def wait(self, after: int, seconds: float) -> int:
        """Wait until the head is beyond `after`, at most `seconds`; return it."""
        with self._moved:
            self._moved.wait_for(lambda: self._position > after, seconds)
            return self._position


class JournalReader:
    """Reads the journal; any thread."""

    def __init__(self, engine: sa.Engine, head: JournalHead) -> None:
        """Read by `engine`; `head` is advanced by the writers of this process."""
        self._engine = engine
        self._head = head

    def end(self) -> int:
        """Return the position of the last change, 0 in an empty journal."""
        with translated(), self._engine.connect() as connection:
            return end_of(connection)

    def look(self) -> int:
        """Return the position of the last change, whoever's it is; wake who follows.

        Raises:
            StorageError: the journal cannot be read now.
        """
        end = self.end()
        self._head.advance(end)
        return end

    def changes(
        self, after: int, most: int, *, holder: Member | None = None
    ) -> list[Change]:
        """Return the next changes, in the order of the commits, without a gap.

        Args:
            after: position of the last change seen, 0 for none.
            most: at most so many changes, at least 1.
            holder: whose templates to read, of all; everybody's if None.

        Returns:
            Changes at `after + 1`, `after + 2` and so on; none at the end. Records
            withdrawn meanwhile are there without their templates, and those with
            rows that are none without these.

        Raises:
            DefectError: a change is missing (`JOURNAL_GAP`), or a withdrawal names
                templates that it cannot have taken (`JOURNAL_DAMAGED`).
            StorageError: the journal cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            due = min(most, end_of(connection) - after)
            if due <= 0:
                return []
            rows = connection.execute(_CHANGES, {"after": after, "most": due}).all()
            if [row.position for row in rows] != list(
                range(after + 1, after + due + 1)
            ):
                raise DefectError(
                    "JOURNAL_GAP",
                    f"the journal lacks a change among the {due} after {after}: the"
                    " database is damaged; restore it from a backup",
                )
            reached = {"first": rows[0].position, "last": rows[-1].position}
            stored = connection.execute(
                _OF_CHANGES if holder is None else _OF_HOLDER,
                reached if holder is None else reached | {"holder": holder.code},
            ).all()
            following = connection.execute(_NEXT).scalar_one()
        templates: dict[int, list[StoredTemplate]] = defaultdict(list)
        for row in stored:
            if (template := read_row(row)) is not None:
                templates[row[0]].append(template)
        return [
            Change(
                position=row.position,
                kind=ChangeKind(row.kind),
                member=member_of(row.member),
                record_id=row.record_id,
                templates=tuple(templates.get(row.position, ())),
                withdrawn=_withdrawn(row, following),
            )
            for row in rows
        ]

    def following(self, after: int, most: int) -> list[Change]:
        """Return the next changes as `changes` does, for whoever sees every one.

        What this process has enrolled a moment ago is not read again. Of a record that
        was withdrawn since, the templates may still be there: its withdrawal follows.

        Args:
            after: position of the last change seen, 0 for none.
            most: some so many changes, at least 1.

        Raises:
            DefectError: as `changes`.
            StorageError: likewise.
        """
        kept = self._head.followed(after, most)
        return [each for one in kept for each in one.changes()] or self.changes(
            after, most
        )

    def templates_by_space(self) -> dict[str, int]:
        """Return how many templates all members ever had together, by template space.

        Raises:
            StorageError: the counts cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_MOST).all()
        return {row.space: row.most for row in rows}

    def galleries(self, members: Collection[Member]) -> list[tuple[Member, str]]:
        """Return the galleries that some members have ever enrolled into.

        Raises:
            StorageError: they cannot be read now.
        """
        codes = {member.code: member for member in members}
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_GALLERIES, {"members": list(codes)}).all()
        return [(codes[row.member], row.space) for row in rows]

    def entry(self, position: int) -> bytes | None:
        """Return the id of the record that was changed at a position.

        Whoever kept what it had followed up to there can tell by it whether this is
        still the journal that it followed.

        Returns:
            The id as it stands there, which somebody may have edited; None if there
            is no such change, or its row is none any more.

        Raises:
            StorageError: the journal cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            record_id = connection.execute(_ENTRY, {"at": position}).scalar()
        return record_id if isinstance(record_id, bytes) else None

    def wait(self, after: int, timeout: float) -> int:
        """Wait until the journal is beyond `after`.

        Changes of this process end the wait at once, those of another one within
        `limits.JOURNAL_POLL_SECONDS`.

        Args:
            after: position of the last change seen.
            timeout: seconds to wait at most.

        Returns:
            The end, or some position beyond `after` that is durable; not beyond
            `after` only if the time is over.
        """
        if (head := self._head.wait(after, 0.0)) > after:
            return head
        left = timeout
        while (end := self.end()) <= after and left > 0:
            step = min(left, limits.JOURNAL_POLL_SECONDS)
            end = self._head.wait(after, step)
            if end > after:
                break
            left -= step
        return end

    def templates(self, ids: Sequence[int]) -> dict[int, StoredTemplate]:
        """Return templates by their numbers.

        Those withdrawn are not there, nor those whose rows are none any more.
        """
        if not ids:
            return {}
        found: dict[int, StoredTemplate] = {}
        with translated(), self._engine.connect() as connection:
            for start in range(0, len(ids), limits.STORE_IDS_PER_QUERY):
                some = list(ids[start : start + limits.STORE_IDS_PER_QUERY])
                rows = connection.execute(_OF_IDS, {"ids": some}).all()
                templates = [read_row(row) for row in rows]
                found |= {t.template_id: t for t in templates if t is not None}
        return found

    def templates_of(
        self, holder: Member, lookups: Sequence[bytes]
    ) -> list[StoredTemplate]:
        """Return all templates of some records of a holder, each record at one moment.

        Args:
            holder: whose they are.
            lookups: keyed hashes of the holder's references.
        """
        found: list[StoredTemplate] = []
        with translated(), self._engine.connect() as connection:
            for start in range(0, len(lookups), limits.STORE_IDS_PER_QUERY):
                some = list(lookups[start : start + limits.STORE_IDS_PER_QUERY])
                asked = {"holder": holder.code, "lookups": some}
                rows = connection.execute(_OF_RECORDS, asked).all()
                templates = [read_row(row) for row in rows]
                found += [each for each in templates if each is not None]
        return found


def _withdrawn(row: sa.Row[*tuple[Any, ...]], following: int) -> range:
    """Return the numbers of the templates that went with a row of `_CHANGES`.

    They are checked, for a false one would take other people out of every search.

    Raises:
        DefectError: somebody made them numbers of none, or of templates still there.
    """
    first, count = row.first_template, row.templates
    if first is None and count is None:
        return range(0)
    if (
        row.kind == ChangeKind.WITHDRAWN
        and isinstance(first, int)
        and isinstance(count, int)
        and is_of_one_record(range(first, first + count), following)
        and not row.left_behind
    ):
        return range(first, first + count)
    raise DefectError(
        "JOURNAL_DAMAGED",
        f"the change at {row.position} names templates that were not withdrawn by it:"
        " the database is damaged; restore it from a backup",
    )


# Of the columns of `TEMPLATES`: SQLite keeps what it is given, whatever its type.
_OF_NUMBERS: Final = (int, (int, NoneType))
_TYPES: Final[tuple[type | tuple[type, ...], ...]] = (
    *(int, int, bytes, str, str, str, str, int, int, (int, NoneType)),
    *(int, bytes, bytes, str, (int, NoneType), bytes, bytes, int),
)
_NUMBERS: Final = [place for place, kind in enumerate(_TYPES) if kind in _OF_NUMBERS]


def read_row(row: sa.Row[*tuple[Any, ...]]) -> StoredTemplate | None:
    """Return a row of `TEMPLATES` as a value; None if somebody made it no such row."""
    if not all(map(isinstance, row, _TYPES)):
        return None
    if min(row[at] or 0 for at in _NUMBERS) < 0:
        return None
    (_, template_id, record_id, member, space, position, modality, sample) = row[:8]
    (generation, quality, key_id, wrapped_key, ciphertext) = row[8:13]
    (excluded, expires_at, record_tag, lookup, is_canary) = row[13:]
    try:
        return StoredTemplate(
            template_id=template_id,
            record_id=record_id,
            lookup=lookup,
            member=member_of(member),
            space=space,
            position=position,
            modality=modality,
            sample=sample,
            generation=generation,
            quality=quality,
            sealed=Sealed(
                key_id=key_id, wrapped_key=wrapped_key, ciphertext=ciphertext
            ),
            excluded=split_members(excluded),
            expires_at=moment_or_none(expires_at),
            record_tag=record_tag,
            is_canary=bool(is_canary),
        )
    except (DefectError, OverflowError):  # no member, or no moment
        return None
