"""`biometrics check`: whether everything that is stored is whole, and goes together.

`serve --check` asks whether a start would go well: it reads what a start reads, in a
moment, and beside a running exchange. This reads all there is, and opens every sealed
value, while no exchange has the database:

    1. tables       the database's own check, and what must be true of all rows, those
                    of the log among them: each leaf is of its entries, none is missing
    2. keys         each unwraps, and is the one that was committed to
    3. agreements   the stored versions are what two listed signers signed
    4. templates    each opens under its key as what its row says it is
    5. references   each opens, and leads to its record
    6. answers      each opens as the answer to its request
    7. codes        files open, and have the rows that the database has

A member whose key is not at hand, or who has locked or destroyed its galleries, is
locked. That is no fault: what only its key opens is counted as not opened.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from biometrics import limits
from biometrics.clock import SystemClock
from biometrics.custody import (
    KEY_FILE_UNREACHABLE,
    FileKeyProvider,
    Vault,
    open_keys,
)
from biometrics.errors import (
    ConfigurationError,
    ExchangeError,
    Fault,
    GalleryLockedError,
    InvalidRequestError,
    SealError,
)
from biometrics.sealed import reference_binding
from biometrics.server.config import read_config
from biometrics.server.policy import read_spaces
from biometrics.signing import read_signers, verify_version
from biometrics.store import Counts, inspect_store
from matcher.comparison import compare
from matcher.index import binding_of
from matcher.segments import SegmentFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from biometrics.custody import KeyProvider
    from biometrics.members import Member
    from biometrics.sealed import GalleryKeyRow, NewGalleryKey
    from biometrics.server.config import Config
    from biometrics.signing import Signers
    from biometrics.store import Inspection, StoredReference, StoredTemplate
    from biometrics.store.rows import StoredReply
    from biometrics.templates import TemplateSpaces
    from matcher.galleries import GalleryName

    Show = Callable[[str, int, int], None]

Row = TypeVar("Row")

_RESTORE: Final = "restore the database from a backup"
# What a numbered row of each kind is called.
_ROW: Final = {"references": "record", "answers": "stored answer"}


@dataclass(slots=True)
class Examined:
    """What an examination found.

    Attributes:
        position: of the journal's last change.
        records: how many there are.
        templates: how many there are.
        opened: sealed values that opened, by what they are.
        locked: why the galleries of a member were not opened, by its code.
        not_opened: sealed values of locked members, by what they are.
        faults: the first `limits.MAX_FAULTS_KEPT` things that are wrong.
        faults_by_reason: all of them, counted.
    """

    position: int = 0
    records: int = 0
    templates: int = 0
    opened: Counter[str] = field(default_factory=Counter)
    locked: dict[str, str] = field(default_factory=dict)
    not_opened: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    faults_by_reason: Counter[str] = field(default_factory=Counter)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults_by_reason

    def add(self, fault: Fault) -> None:
        """Count a fault, and keep it if there is room."""
        self.faults_by_reason[fault.reason] += 1
        if len(self.faults) < limits.MAX_FAULTS_KEPT:
            self.faults.append(fault)


def examine(path: Path, *, is_quick: bool = False, show: Show) -> Examined:
    """Examine everything that the exchange of a settings file has stored.

    Memory holds some rows at a time, and the codes of one gallery. Nothing is changed.

    Args:
        path: of `exchange.toml`.
        is_quick: open keys and no value.
        show: called with a step, and how much of how much of it is done.

    Raises:
        ConfigurationError: a file is wrong, an exchange has the database open
            (`DATABASE_IN_USE`), or there is none to examine (`NOTHING_STORED`).
        ExchangeError: the database cannot be read at all.
    """
    config = read_config(path)
    spaces, signers = read_spaces(config.spaces), read_signers(config.signers)
    with inspect_store(config.database, is_held=True) as stored:
        if stored is None:
            raise ConfigurationError(
                "NOTHING_STORED",
                f"`{config.database}` is no database yet, or one that the next start"
                " will bring up to date; start the exchange once, then check",
            )
        return _Examination(config, stored, spaces, is_quick=is_quick, show=show).run(
            signers
        )


class _Examination:
    """One run, step by step."""

    def __init__(
        self,
        config: Config,
        stored: Inspection,
        spaces: TemplateSpaces,
        *,
        is_quick: bool,
        show: Show,
    ) -> None:
        self._config = config
        self._stored = stored
        self._spaces = spaces
        self._is_quick = is_quick
        self._show = show
        self._found = Examined()
        self._counts = Counts()

    def run(self, signers: Signers) -> Examined:
        """Take every step; what one finds keeps none of the others from it."""
        vault = self._vault()
        steps: list[Iterator[Fault]] = [
            self._of_counts(),
            self._stored.consistency.faults(
                lambda done, of: self._show("tables", done, of)
            ),
            self._of_keys(vault),
            self._of_agreements(signers),
        ]
        if not self._is_quick:
            steps += [
                self._of_templates(vault),
                self._of_references(vault),
                self._of_answers(vault),
                self._of_codes(vault),
            ]
        for step in steps:
            try:
                for fault in step:
                    self._found.add(fault)
            except ExchangeError as error:  # the rest of this step cannot be read
                self._found.add(_fault("database", error))
            except Exception as error:  # noqa: BLE001 - whatever damage makes of rows
                told = f"a step ended in `{type(error).__name__}`; {_RESTORE}"
                fault = Fault(field="database", reason="STEP_ENDED", message=told)
                self._found.add(fault)
        return self._found

    def _of_counts(self) -> Iterator[Fault]:
        """Count what there is to do; that too can fail."""
        self._counts = counts = self._stored.sealed.counts()
        self._found.position = counts.position
        self._found.records = counts.records
        self._found.templates = counts.templates
        yield from ()

    def _vault(self) -> Vault:
        """Return a vault with the keys that are at hand; nobody is unlocked yet."""
        providers: dict[Member, KeyProvider] = {}
        try:
            closed = self._stored.custody.closed()
        except ExchangeError as error:  # told by the rules for the tables, too
            self._found.add(_fault("table custody", error))
            closed = {}
        for member, source in self._config.members.items():
            if member in closed:
                self._found.locked[member.code] = f"it has {closed[member]} them"
                continue
            try:
                providers[member] = source.open(secrets.token_bytes)
                providers[member].check()
            except GalleryLockedError as error:
                self._found.locked[member.code] = error.message
            except ConfigurationError as error:
                self._found.locked[member.code] = error.message
                # A file that is wrong is a fault; one that is away is not.
                if error.reason != KEY_FILE_UNREACHABLE:
                    self._found.add(_fault(f"key of {member}", error))
        exchange = FileKeyProvider(self._config.exchange_key)
        rows = _ReadKeys(self._stored)
        return Vault(exchange, providers, rows, SystemClock(), secrets.token_bytes)

    def _of_keys(self, vault: Vault) -> Iterator[Fault]:
        """Unwrap every key; unlock whoever's all do."""
        members = list(self._config.members)
        for done, member in enumerate(members):
            self._show("keys", done, len(members))
            if self._stored.keys.index_key(member) is not None:
                try:
                    vault.index(member)
                except SealError as error:
                    yield _fault(f"index key of {member}", error)
                else:
                    self._found.opened["keys"] += 1
            if member.code not in self._found.locked:
                yield from self._of_gallery_keys(member, vault)
        self._show("keys", len(members), len(members))

    def _of_gallery_keys(self, member: Member, vault: Vault) -> Iterator[Fault]:
        """Unwrap a member's gallery keys."""
        rows = self._stored.keys.gallery_keys(member)
        provider = self._config.members[member].open(secrets.token_bytes)
        for row in rows:
            try:
                open_keys([row], provider)
            except SealError as error:
                where = f"key {row.key_id} of {member} in `{row.gallery}`"
                yield _fault(where, error)
            else:
                self._found.opened["keys"] += 1
        try:
            vault.unlock(member)
        except (SealError, GalleryLockedError) as error:
            self._found.locked[member.code] = error.message

    def _of_agreements(self, signers: Signers) -> Iterator[Fault]:
        """Verify the stored versions."""
        rows = self._stored.agreements.last()
        for done, row in enumerate(rows):
            self._show("agreements", done, len(rows))
            if row.holder not in self._config.members:
                continue
            try:
                verify_version(
                    row.data,
                    row.note,
                    holder=row.holder,
                    source=f"{row.holder}.toml",
                    signers=signers,
                )
            except ConfigurationError as error:
                yield _fault(
                    f"agreement of {row.holder}, revision {row.revision}", error
                )
        self._show("agreements", len(rows), len(rows))

    def _of_templates(self, vault: Vault) -> Iterator[Fault]:
        """Open every template, and believe no row whose tag is not its own."""
        done, total = 0, self._counts.templates
        for numbers in self._stored.sealed.template_numbers():
            self._show("templates", done, total)
            rows = self._stored.journal.templates(numbers)
            for number in numbers:
                yield from self._opened(
                    "templates",
                    f"template {number}",
                    rows.get(number),
                    lambda row: self._open_template(vault, row),
                )
            done += len(numbers)
        self._show("templates", done, done)

    def _open_template(self, vault: Vault, row: StoredTemplate) -> None:
        """Open a template, and check the tag of its record."""
        vault.index(row.member).check_record(row.attested, row.record_tag)
        binding = binding_of(row, self._spaces)
        clear = bytearray(self._spaces.named(row.space).template_bytes)
        vault.open_into(binding, row.sealed, clear)
        clear[:] = bytes(len(clear))

    def _of_references(self, vault: Vault) -> Iterator[Fault]:
        """Open every reference, and look its record up by it."""
        return self._of_pages(
            "references",
            self._counts.records,
            self._stored.sealed.references(),
            lambda row: _open_reference(vault, row),
        )

    def _of_answers(self, vault: Vault) -> Iterator[Fault]:
        """Open every stored answer."""
        return self._of_pages(
            "answers",
            self._counts.replies,
            self._stored.sealed.replies(),
            lambda row: _open_answer(vault, row),
        )

    def _of_pages(
        self,
        kind: str,
        total: int,
        pages: Iterable[Sequence[tuple[int, Row | None]]],
        open_it: Callable[[Row], None],
    ) -> Iterator[Fault]:
        """Open every value of some pages of numbered rows."""
        done = 0
        for rows in pages:
            self._show(kind, done, total)
            for number, row in rows:
                where = f"{_ROW[kind]} {number}"
                yield from self._opened(kind, where, row, open_it)
            done += len(rows)
        self._show(kind, done, done)

    def _opened(
        self, kind: str, where: str, row: Row | None, open_it: Callable[[Row], None]
    ) -> Iterator[Fault]:
        """Open one value; count it, or yield why it does not open."""
        if row is None:
            message = f"its row is none any more; {_RESTORE}"
            yield Fault(field=where, reason="ROW_DAMAGED", message=message)
            return
        try:
            open_it(row)
        except GalleryLockedError:
            self._found.not_opened[kind] += 1
        except InvalidRequestError:
            message = (
                "its template space is not defined; put the definition back that it was"
                " enrolled under"
            )
            yield Fault(field=where, reason="UNKNOWN_SPACE", message=message)
        except SealError as error:
            yield _fault(where, error)
        else:
            self._found.opened[kind] += 1

    def _of_codes(self, vault: Vault) -> Iterator[Fault]:
        """Compare files of codes with what is in the database."""
        files = SegmentFiles(self._config.segments, secrets.token_bytes)
        # Those that have a manifest: a kill may leave segments that none names yet.
        galleries = list(files.galleries())
        for done, gallery in enumerate(galleries):
            self._show("codes", done, len(galleries))
            if gallery.space not in self._spaces:
                continue  # told with its templates
            try:
                for told in compare(
                    gallery,
                    files=files,
                    vault=vault,
                    spaces=self._spaces,
                    journal=self._stored.journal,
                    numbers=self._stored.sealed.numbers_of_gallery,
                ):
                    yield self._code_fault(gallery, told)
            except GalleryLockedError:
                self._found.not_opened["galleries of codes"] += 1
        self._show("codes", len(galleries), len(galleries))

    def _code_fault(self, gallery: GalleryName, told: str) -> Fault:
        """Return what is wrong with the files of a gallery."""
        folder = self._config.segments / gallery.holder.code / gallery.space
        message = (
            f"{told}; delete the folder `{folder}`, and the next start makes it anew"
            " from the database"
        )
        where = f"codes of {gallery.holder} in `{gallery.space}`"
        return Fault(field=where, reason="CODES_DIFFER", message=message)


class _ReadKeys:
    """Keys that are stored; where one is missing none is made."""

    def __init__(self, stored: Inspection) -> None:
        self._keys = stored.keys

    def gallery_keys(self, member: Member) -> list[GalleryKeyRow]:
        """Return every gallery key of a member."""
        return self._keys.gallery_keys(member)

    def index_key(self, member: Member) -> bytes | None:
        """Return the member's wrapped index key, or None."""
        return self._keys.index_key(member)

    def add_gallery_key(self, row: NewGalleryKey) -> GalleryKeyRow:
        """Say that there is none."""
        raise _no_key(f"gallery `{row.gallery}` of {row.member}")

    def add_index_key(self, member: Member, wrapped: bytes) -> bytes:  # noqa: ARG002
        """Say that there is none."""
        raise _no_key(f"index of {member}")

    def signing_key(self) -> bytes | None:
        """Return the exchange's wrapped signing key, or None."""
        return self._keys.signing_key()

    def add_signing_key(self, wrapped: bytes) -> bytes:  # noqa: ARG002
        """Say that there is none."""
        raise _no_key("signature of the exchange")


def _open_reference(vault: Vault, row: StoredReference) -> None:
    """Open a reference, and check that its record is found by it.

    Raises:
        GalleryLockedError: the holder is locked.
        SealError: it is damaged, or leads to another record.
    """
    binding = reference_binding(row.member, row.record_id, row.generation)
    clear = vault.open(binding, row.sealed)
    try:
        reference = clear.decode()
        if vault.index(row.member).lookup(reference) != row.lookup:
            raise SealError(
                "REFERENCE_MOVED",
                f"its reference does not lead to it, as it must; {_RESTORE}",
            )
    finally:
        clear[:] = bytes(len(clear))


def _open_answer(vault: Vault, row: StoredReply) -> None:
    """Open a stored answer.

    Raises:
        SealError: it is damaged, or another's.
    """
    vault.index(row.member).open_reply(row.request_id, row.body)


def _no_key(what: str) -> SealError:
    """Return the error of a key that is not there."""
    return SealError("KEY_MISSING", f"the key of the {what} is missing; {_RESTORE}")


def _fault(where: str, error: ExchangeError) -> Fault:
    """Return an error as a fault of some place."""
    return Fault(field=where, reason=error.reason, message=error.message)
