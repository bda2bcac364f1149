"""Keys that the journal speaks of, and that another front end has made."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from biometrics.errors import GalleryLockedError, SealError
from biometrics.store import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.store import Change

_REKEYING: Final = (ChangeKind.REKEYED, ChangeKind.ROTATED)


def learn(vault: Vault, changes: Sequence[Change]) -> bool:
    """Have keys in a vault that some changes ask for, of members that are unlocked.

    Returns:
        Whether there is one for everything that was enrolled. What is damaged has none;
        and what was read before its key went will be under another when it is read
        again.

    Raises:
        StorageError: they cannot be read now.
    """
    asked: dict[Member, set[int]] = defaultdict(set)
    for change in changes:
        if change.kind in _REKEYING:
            asked[change.member].add(-1)  # newer ones, whatever their numbers
        for stored in change.templates:
            asked[stored.member].add(stored.sealed.key_id)
    is_all = True
    for member, numbers in asked.items():
        if not vault.is_unlocked(member):
            continue
        if not all(vault.has(member, number) for number in numbers):
            with suppress(GalleryLockedError, SealError):  # whoever opens tells of it
                vault.learn(member)
        is_all &= all(vault.has(member, number) for number in numbers - {-1})
    return is_all
