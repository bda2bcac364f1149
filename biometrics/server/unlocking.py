"""Has a member at hand: at the start, and when one joins later."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from biometrics.errors import ConfigurationError, GalleryLockedError, SealError
from biometrics.server.check import wrong_exchange_key
from biometrics.store import CustodyState

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.custody import KeyProvider, Vault
    from biometrics.errors import ExchangeError
    from biometrics.members import Member
    from biometrics.server.config import Config
    from biometrics.store import Store
    from matcher.galleries import Galleries

log = logging.getLogger(__name__)


class Unlocking:
    """Opens the gallery keys of members whose key-encryption key is at hand.

    A member that has locked its galleries, or whose key is missing or does not fit,
    stays locked: its holders' outcome is UNAVAILABLE, and everybody else is served.
    """

    def __init__(
        self,
        store: Store,
        vault: Vault,
        galleries: Galleries,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Read `store`, and tell `vault` and `galleries`."""
        self._store = store
        self._vault = vault
        self._galleries = galleries
        self._random_bytes = random_bytes

    def admit(self, member: Member, config: Config) -> None:
        """Have one more member, unlocked if that can be.

        Raises:
            ConfigurationError: the exchange's own key does not fit.
            StorageError: the database cannot be read or written now.
        """
        provider = self._provider(member, config)
        if provider is not None:
            self._vault.admit(member, provider)
        self._know(member, config)
        state = self._store.custody.custody(member).state
        if state is not CustodyState.OPEN:
            self._stay_closed(member, state)
        elif provider is not None:
            try:
                self._vault.unlock(member)
                if self._store.front_ends is not None:
                    self._vault.settle(member)
            except (GalleryLockedError, SealError) as error:
                self._stay_locked(member, error)

    def _provider(self, member: Member, config: Config) -> KeyProvider | None:
        """Return what wraps a member's gallery keys, or None where it is missing."""
        try:
            return config.members[member].open(self._random_bytes)
        except ConfigurationError as error:
            self._stay_locked(member, error)
        return None

    def _know(self, member: Member, config: Config) -> None:
        """Have at hand what is needed of a member whether or not it is unlocked."""
        try:
            self._vault.index(member)  # made now, so that no call has to wait for it
        except SealError as error:
            raise wrong_exchange_key(config.exchange_key) from error
        for space in self._store.register.spaces(member):
            self._galleries.know(member, space)

    def _stay_locked(self, member: Member, error: ExchangeError) -> None:
        """Note and tell that a member's galleries cannot be opened."""
        self._vault.lock(member)
        self._galleries.lock(member)
        log.warning("galleries of %s stay locked: %s", member, error.message)

    def _stay_closed(self, member: Member, state: CustodyState) -> None:
        """Note and tell that a member has closed its galleries."""
        if state is CustodyState.DESTROYED:
            self._galleries.destroy(member)
        else:
            self._galleries.lock(member)
        log.info("galleries of %s stay closed: their member has %s them", member, state)
