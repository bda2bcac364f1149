"""The log's tables: leaves are appended in the transaction of what they tell of.

`Log` is of the writer's thread. What a transaction appends waits in memory and is
written at its end, all at once, so that searches which share a flush share these
statements too; what the transaction undoes was never there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from biometrics.audit.checkpoint import next_life
from biometrics.audit.entry import Kind, Mention
from biometrics.audit.leaf import hour_of
from biometrics.audit.scribe import HandedKey, read_record, slot_tree
from biometrics.audit.tiles import WIDTH, root_of, split, tile_root
from biometrics.audit.tree import leaf_hash
from biometrics.errors import DefectError, NotFoundError
from biometrics.store.cosignatures import forget_cosignatures
from biometrics.store.databases import insert_rows
from biometrics.store.failures import translated
from biometrics.store.schema import LOG_HEAD, LOG_KEY, LOG_LEAF, LOG_TILE
from biometrics.store.values import member_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from biometrics.audit import Scribe, Written
    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.writer import Writer

_HEAD: Final = sa.select(LOG_HEAD.c.life, LOG_HEAD.c.size, LOG_HEAD.c.sequences)
_ADVANCE: Final = sa.update(LOG_HEAD).values(
    size=sa.bindparam("now_size"), sequences=sa.bindparam("now_sequences")
)
_MEMBERS: Final = sa.select(LOG_HEAD.c.members)
_SET_MEMBERS: Final = sa.update(LOG_HEAD).values(members=sa.bindparam("now_members"))
_BEGIN_ANEW: Final = sa.update(LOG_HEAD).values(life=sa.bindparam("now_life"))
_LEAVES: Final = (
    sa.select(LOG_LEAF.c.leaf_index, LOG_LEAF.c.leaf)
    .where(LOG_LEAF.c.leaf_index.between(sa.bindparam("first"), sa.bindparam("last")))
    .order_by(LOG_LEAF.c.leaf_index)
)
_RECORDS: Final = (
    sa.select(LOG_LEAF.c.leaf_index, LOG_LEAF.c.record)
    .where(LOG_LEAF.c.leaf_index.between(sa.bindparam("first"), sa.bindparam("last")))
    .order_by(LOG_LEAF.c.leaf_index)
)
_TILE: Final = sa.select(LOG_TILE.c.hashes).where(
    LOG_TILE.c.level == sa.bindparam("of_level"),
    LOG_TILE.c.number == sa.bindparam("of_number"),
)
_ROOTS: Final = (
    sa.select(LOG_TILE.c.root)
    .where(
        LOG_TILE.c.level == sa.bindparam("of_level"),
        LOG_TILE.c.number.between(sa.bindparam("first"), sa.bindparam("last")),
    )
    .order_by(LOG_TILE.c.number)
)
_ADD_TILE: Final = sa.insert(LOG_TILE)
_KNOWN_KEYS: Final = sa.select(LOG_KEY.c.key_id).where(
    LOG_KEY.c.key_id.in_(sa.bindparam("key_ids", expanding=True))
)
_KEYS: Final = (
    sa.select(LOG_KEY)
    .where(
        LOG_KEY.c.member == sa.bindparam("of_member"),
        LOG_KEY.c.number > sa.bindparam("after"),
    )
    .order_by(LOG_KEY.c.number)
    .limit(sa.bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Appended:
    """A leaf that becomes durable with the transaction.

    Attributes:
        written: the leaf, and what its first member is told.
        index: where it is.
        life: of which log.
    """

    written: Written
    index: int
    life: str


class _Pending:
    """What a transaction has appended and not written yet."""

    def __init__(self, life: str, size: int, sequences: dict[str, int]) -> None:
        self.life = life
        self.size = size
        self.sequences = sequences
        self.written: list[tuple[Written, list[str]]] = []


class Log:
    """Appends leaves, within the writer's transactions; of its thread.

    A transaction that appends MUST end with `flush`, and `forget` MUST be called
    between any two of them.
    """

    def __init__(self, scribe: Scribe, clock: Clock) -> None:
        """Write by `scribe`, in the hour that `clock` tells."""
        self._scribe = scribe
        self._clock = clock
        self._pending: _Pending | None = None
        self._head: _Pending | None = None  # as it is durable, until others write
        self._durable_keys: set[bytes] = set()

    def append(self, connection: sa.Connection, *mentions: Mention) -> Appended:
        """Append a leaf.

        Args:
            connection: the writer's, in its transaction.
            mentions: what each member is told of it; one or more.
        """
        pending = self._pending
        if pending is None:
            pending = self._pending = self._head or _read_head(connection)
        codes = [mention.member.code for mention in mentions]
        numbers = []
        for code in codes:
            pending.sequences[code] = pending.sequences.get(code, 0) + 1
            numbers.append(pending.sequences[code])
        hour = hour_of(self._clock.now())
        written = self._scribe.write(mentions, numbers, hour)
        pending.written.append((written, codes))
        return Appended(written, pending.size + len(pending.written) - 1, pending.life)

    def renew(self) -> None:
        """Read anew how far the log is."""
        self._head = None

    def mark(self) -> int:
        """Return how much was appended, for `undo`."""
        return 0 if self._pending is None else len(self._pending.written)

    def undo(self, mark: int) -> None:
        """Take back what was appended since `mark`."""
        if self._pending is None:
            return
        for _, codes in self._pending.written[mark:]:
            for code in codes:
                self._pending.sequences[code] -= 1
        del self._pending.written[mark:]

    def flush(self, connection: sa.Connection) -> None:
        """Write what was appended: the last thing that a transaction does."""
        pending = self._pending
        if pending is None or not pending.written:
            return
        before, size = pending.size, pending.size + len(pending.written)
        self._add_keys(connection, pending)
        insert_rows(
            connection,
            LOG_LEAF,
            [
                {
                    "leaf_index": index,
                    "leaf": written.leaf.data,
                    "record": written.record,
                }
                for index, (written, _) in enumerate(pending.written, before)
            ],
        )
        for number in range(before // WIDTH, size // WIDTH):
            _fill_tile(connection, number)
        values = {
            "now_size": size,
            "now_sequences": _write_sequences(pending.sequences),
        }
        connection.execute(_ADVANCE, values)

    def forget(self, *, is_durable: bool = False) -> None:
        """Have nothing pending: the transaction is over.

        Args:
            is_durable: it was committed.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        self._head = None  # it is read anew if nobody knows what became of it
        if is_durable:
            for written, _ in pending.written:
                self._durable_keys.update(key.key_id for key in written.keys)
            size = pending.size + len(pending.written)
            self._head = _Pending(pending.life, size, pending.sequences)

    def _add_keys(self, connection: sa.Connection, pending: _Pending) -> None:
        """Write the keys of entries that are new."""
        fresh = {
            key.key_id: key
            for written, _ in pending.written
            for key in written.keys
            if key.key_id not in self._durable_keys
        }
        if not fresh:
            return
        # Those of a commit of which nobody knew may be there.
        known = set(connection.execute(_KNOWN_KEYS, {"key_ids": list(fresh)}).scalars())
        rows = [
            {
                "key_id": key.key_id,
                "member": key.member.code,
                "hour": key.hour,
                "handed": key.handed,
            }
            for key in fresh.values()
            if key.key_id not in known
        ]
        if rows:
            connection.execute(sa.insert(LOG_KEY), rows)


class _Head(NamedTuple):
    """The row of how far the log is."""

    life: str
    size: int
    sequences: str


def _stated_head(connection: sa.Connection) -> _Head:
    """Return the row that says how far the log is.

    Raises:
        DefectError: it says nothing: a damaged one may lack what no row can lack.
    """
    row = connection.execute(_HEAD).one()
    if tuple(map(type, row)) != (str, int, str):
        raise _damaged()
    return _Head(*row)


def _read_head(connection: sa.Connection) -> _Pending:
    """Return how far the log is, with nothing pending."""
    row = _stated_head(connection)
    return _Pending(row.life, row.size, read_sequences(row.sequences))


def begin_anew(
    connection: sa.Connection,
    scribe: Scribe,
    clock: Clock,
    mentions: Sequence[Mention],
) -> None:
    """Have another log from now on, which goes on from this one's leaves.

    Members have seen, and have receipts of, leaves that came after a backup. Under the
    same name a restored log would be a fork of what they know; and so would be another
    restore of that backup. So it is named by the hash of its first leaf, in which there
    are random bytes.

    Args:
        connection: of a restored database, in its transaction.
        scribe: writes the first leaf of the other log.
        clock: tells its hour.
        mentions: what each member is told of the restore.
    """
    log = Log(scribe, clock)
    appended = log.append(connection, *mentions)
    log.flush(connection)
    life = next_life(appended.life, leaf_hash(appended.written.leaf.data))
    connection.execute(_BEGIN_ANEW, {"now_life": life})
    forget_cosignatures(connection)  # which are of the log before


def _fill_tile(connection: sa.Connection, number: int) -> None:
    """Write a tile of leaves that is full now, and those above that it fills."""
    hashes = [leaf_hash(leaf) for leaf in _leaves(connection, number * WIDTH, WIDTH)]
    level = 0
    while True:
        if len(hashes) != WIDTH:
            raise _damaged()
        row = {
            "level": level,
            "number": number,
            "root": tile_root(hashes),
            "hashes": b"".join(hashes),
        }
        connection.execute(_ADD_TILE, row)
        number, place = divmod(number, WIDTH)
        if place != WIDTH - 1:
            return
        hashes = _roots(connection, level, number * WIDTH, WIDTH)
        level += 1


def _leaves(connection: sa.Connection, first: int, most: int) -> list[bytes]:
    """Return leaves from a number on."""
    values = {"first": first, "last": first + most - 1}
    return [row.leaf for row in connection.execute(_LEAVES, values)]


def _roots(connection: sa.Connection, level: int, first: int, most: int) -> list[bytes]:
    """Return the roots of full tiles of a level, from a number on."""
    values = {"of_level": level, "first": first, "last": first + most - 1}
    return list(connection.execute(_ROOTS, values).scalars())


@dataclass(frozen=True, slots=True)
class LogHead:
    """How long the log is.

    Attributes:
        life: by which it is named; see `checkpoint.origin_of`.
        size: how many leaves it has.
        root: 32 bytes.
    """

    life: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class OwnPart:
    """An entry of a member's, with what leads from it to its leaf.

    Attributes:
        index: of the leaf.
        leaf: itself.
        key_id: of the key that it is sealed by.
        slot: where it stands below the leaf.
        path: from there to the root of the leaf.
        sealed: the entry.
    """

    index: int
    key_id: bytes
    slot: int
    path: tuple[bytes, ...]
    sealed: bytes


@dataclass(frozen=True, slots=True)
class NumberedKey:
    """A key of entries, with its number in the store."""

    number: int
    key: HandedKey


class LogReader:
    """Reads the log; any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Read by `engine`."""
        self._engine = engine

    def head(self) -> LogHead:
        """Return how long the log is, as far as it is durable.

        Raises:
            DefectError: the log is damaged.
            StorageError: it cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            row = _stated_head(connection)
        return LogHead(row.life, row.size, root_of(self, row.size))

    def tile(self, level: int, number: int, width: int) -> Sequence[bytes]:
        """Return the first hashes of a tile.

        Raises:
            NotFoundError: the log does not have so many yet.
            DefectError: the log is damaged.
            StorageError: it cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            size = _stated_head(connection).size
            there = (size >> 8 * level) - number * WIDTH
            if width > there:
                raise NotFoundError(
                    "NO_SUCH_TILE",
                    f"the log has no {width} hashes in tile {number} of level {level};"
                    " ask for those that its checkpoint has",
                )
            values = {"of_level": level, "of_number": number}
            if there >= WIDTH:
                found = connection.execute(_TILE, values).scalar()
                hashes = [] if found is None else split(found)[:width]
            elif level:
                hashes = _roots(connection, level - 1, number * WIDTH, width)
            else:
                leaves = _leaves(connection, number * WIDTH, width)
                hashes = [leaf_hash(leaf) for leaf in leaves]
        if len(hashes) != width:
            raise _damaged()
        return hashes

    def leaves(self, first: int, most: int) -> list[bytes]:
        """Return the public parts of leaves, from a number on; none at the end.

        Raises:
            DefectError: the log is damaged.
            StorageError: it cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            size = _stated_head(connection).size
            found = _leaves(connection, first, most)
        if len(found) != max(0, min(most, size - first)):
            raise _damaged()
        return found

    def own(self, member: Member, first: int, most: int) -> list[OwnPart]:
        """Return a member's entries below some leaves.

        Args:
            member: whose.
            first: number of the first leaf.
            most: how many leaves to look at.

        Raises:
            DefectError: the log is damaged.
            StorageError: it cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            values = {"first": first, "last": first + most - 1}
            rows = connection.execute(_RECORDS, values).all()
        found = []
        for row in rows:
            _, parts = read_record(row.record)
            tree = None
            for part in parts:
                if part.member == member:
                    tree = tree or slot_tree(row.record)
                    path = tuple(tree.path(part.slot))
                    found.append(
                        OwnPart(
                            row.leaf_index, part.key_id, part.slot, path, part.sealed
                        )
                    )
        return found

    def keys(self, member: Member, after: int, most: int) -> list[NumberedKey]:
        """Return keys of a member's entries, as its auditor gets them.

        Args:
            member: whose.
            after: number of the last one of the page before, or 0.
            most: at most so many, at least 1.
        """
        values = {"of_member": member.code, "after": after, "most": most}
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_KEYS, values).all()
        return [
            NumberedKey(
                row.number,
                HandedKey(row.key_id, member_of(row.member), row.hour, row.handed),
            )
            for row in rows
        ]


class LogWriter(LogReader):
    """Appends what no other table is about."""

    def __init__(self, writer: Writer, engine: sa.Engine, log: Log) -> None:
        """Write by `writer`, read by `engine`, append to `log`."""
        super().__init__(engine)
        self._writer = writer
        self._log = log

    def note_members(self, members: Iterable[Member]) -> None:
        """Tell every member who the members are, if they are others than before.

        Raises:
            StorageError: it could not be made durable.
        """
        told = " ".join(sorted(member.code for member in members))

        def operation(connection: sa.Connection) -> None:
            before: object = connection.execute(_MEMBERS).scalar_one()
            if before == told:
                return
            if not isinstance(before, str):
                raise _damaged()
            connection.execute(_SET_MEMBERS, {"now_members": told})
            concerned = sorted({*before.split(), *told.split()})
            self._log.append(
                connection,
                *(
                    Mention(
                        member=member_of(code),
                        kind=Kind.MEMBERS,
                        count=len(told.split()),
                        items=tuple(each.encode() for each in told.split()),
                    )
                    for code in concerned
                ),
            )

        self._writer.run(operation)


def read_sequences(text: str) -> dict[str, int]:
    """Return how many entries each member has."""
    pairs = (line.split(" ") for line in text.splitlines())
    return {code: int(number) for code, number in pairs}


def _write_sequences(sequences: dict[str, int]) -> str:
    """Return what `read_sequences` reads."""
    # Of whom only what was undone told, nothing is said.
    counted = sorted(pair for pair in sequences.items() if pair[1])
    return "\n".join(f"{code} {number}" for code, number in counted)


def _damaged() -> DefectError:
    """Return the error of a log that lacks a leaf or a tile."""
    return DefectError(
        "LOG_DAMAGED",
        "the log lacks what it had: the database is damaged or was edited, restore it"
        " from a backup",
    )
