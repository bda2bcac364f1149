"""Whether the codes that are kept on disk are those of the templates in the store."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from biometrics import limits
from biometrics.errors import SealError
from matcher.engine import Engine
from matcher.galleries import Shelf
from matcher.kinds import coded_as, make_shelf
from matcher.segments import StaleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from biometrics.custody import CodesKey, Vault
    from biometrics.members import Member
    from biometrics.store import JournalReader
    from biometrics.templates import TemplateSpace, TemplateSpaces
    from matcher.galleries import GalleryName
    from matcher.segments import SegmentFiles, Snapshot

# Numbers of the templates of a holder, space and position that were enrolled up to a
# position of the journal, in ascending order.
Numbers: TypeAlias = "Callable[[Member, str, str, int], Iterator[int]]"


def compare(
    gallery: GalleryName,
    *,
    files: SegmentFiles,
    vault: Vault,
    spaces: TemplateSpaces,
    journal: JournalReader,
    numbers: Numbers,
) -> Iterator[str]:
    """Yield what is wrong with the files of a gallery; nothing where none are kept.

    Each file has to open, and the rows that a start would take from them have to be
    the templates that are there. Codes are sealed: they are not computed again.

    Args:
        gallery: whose space is defined.
        files: where they are kept.
        vault: with the holder unlocked.
        spaces: of the exchange.
        journal: of the database.
        numbers: what the database has of the gallery.

    Raises:
        GalleryLockedError: the holder is locked.
        ExchangeError: the database cannot be read.
    """
    space = spaces.named(gallery.space)
    try:
        kept = _kept(gallery, files, space, vault, journal)
    except (StaleError, SealError) as error:
        yield str(error)
        return
    if kept is None:
        return
    gone = _withdrawn_after(kept.position, gallery.holder, journal)
    for position in sorted(space.positions):
        in_files = _alive(kept, position, gone)
        there = np.fromiter(
            numbers(gallery.holder, gallery.space, position, kept.position), np.int64
        )
        if (extra := np.setdiff1d(in_files, there)).size:
            yield (
                f"{extra.size} codes at {position} are of templates that are not there,"
                f" template {extra[0]} the first of them"
            )
        if (lost := np.setdiff1d(there, in_files)).size:
            yield (
                f"{lost.size} templates at {position} have no code, template {lost[0]}"
                " the first of them: no search finds them"
            )


def _kept(  # noqa: PLR0917 - one line at its one caller
    gallery: GalleryName,
    files: SegmentFiles,
    space: TemplateSpace,
    vault: Vault,
    journal: JournalReader,
) -> Snapshot | None:
    """Return what is kept of a gallery, or None if that is nothing.

    A stop during a rotation may have left it by an older key than the newest.

    Raises:
        SealError: the gallery has no key.
        StaleError: no key of the gallery opens it, or it is not whole.
    """
    *newer, oldest = vault.every_codes(*gallery)
    for key in newer:
        with suppress(StaleError):
            return _loaded(gallery, files, space, journal, key=key)
    return _loaded(gallery, files, space, journal, key=oldest)


def _loaded(
    gallery: GalleryName,
    files: SegmentFiles,
    space: TemplateSpace,
    journal: JournalReader,
    *,
    key: CodesKey,
) -> Snapshot | None:
    """Return what is kept of a gallery by one key of it."""
    engine: Engine[Shelf] = Engine()
    codings = {}
    for position in space.positions:
        shelf, seed = Shelf(*gallery, position), key.seed(position)
        make_shelf(engine, shelf, space, seed)
        codings[position.value] = engine.coding(shelf)
    return files.load(gallery, coded_as(space), codings, journal.entry, key=key)


def _alive(kept: Snapshot, position: str, gone: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of the rows that a start would load, less what went since."""
    parts = kept.parts.get(position, ())
    ids = [segment.ids[alive] for segment, alive in parts]
    return np.setdiff1d(np.concatenate([np.zeros(0, np.int64), *ids]), gone)


def _withdrawn_after(
    position: int, holder: Member, journal: JournalReader
) -> NDArray[np.int64]:
    """Return the numbers of a holder's templates that later changes took."""
    gone: list[int] = []
    while changes := journal.changes(position, limits.JOURNAL_PAGE_CHANGES):
        for change in changes:
            if change.member == holder:
                gone.extend(change.withdrawn)
        position = changes[-1].position
    return np.array(gone, np.int64)
