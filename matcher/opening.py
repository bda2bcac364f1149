"""Opens one sealed template, and says of which galleries that fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics.errors import GalleryLockedError, SealError
from biometrics.sealed import KEYS_ROTATED
from matcher.index import binding_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from biometrics.custody import Vault
    from biometrics.store import JournalReader, StoredTemplate
    from biometrics.templates import TemplateSpaces
    from matcher.galleries import Galleries, Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """Opens templates.

    Attributes:
        journal: what is stored, should keys be newer than what was read.
        vault: the keys.
        spaces: what templates are bound to.
        galleries: told of damage.
    """

    journal: JournalReader
    vault: Vault
    spaces: TemplateSpaces
    galleries: Galleries

    def can_open(
        self, shelf: Shelf, template: StoredTemplate, clear: NDArray[np.float32]
    ) -> bool:
        """Open a template into `clear`; say whether its holder can be searched."""
        try:
            self._open(shelf, template, clear)
        except (SealError, GalleryLockedError) as error:
            # From now on for every probe: the outage must not tell whom it met.
            if isinstance(error, SealError):
                self.galleries.damage(shelf.holder, shelf.space, error.message)
            return False
        return True

    def _open(
        self, shelf: Shelf, template: StoredTemplate, clear: NDArray[np.float32]
    ) -> None:
        """Open a template into `clear`, if its row is as it was written.

        Raises:
            GalleryLockedError: the holder is locked.
            SealError: the row was changed since it was scanned, or before.
        """
        if (template.member, template.space, template.position) != shelf:
            raise SealError("ROW_MOVED", "a template's row is another gallery's now")
        binding = binding_of(template, self.spaces)
        try:
            self.vault.open_into(binding, template.sealed, clear)
        except GalleryLockedError as error:
            # Locked; or it is under a newer key since it was read.
            again = self.journal.templates([template.template_id])
            if error.reason != KEYS_ROTATED or template.template_id not in again:
                raise
            newer = again[template.template_id].sealed
            self.vault.open_into(binding, newer, clear)
        index = self.vault.index(template.member)
        index.check_record(template.attested, template.record_tag)
