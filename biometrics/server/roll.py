"""The roll: who is a member at the moment, and whether it takes part."""

from __future__ import annotations

import threading
from collections.abc import Collection
from types import MappingProxyType
from typing import TYPE_CHECKING

from biometrics.members import Member, Membership

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Roll(Collection[Member]):
    """Every member, suspended ones too, and none that has left; in their order.

    Any thread changes it or reads: whoever iterates goes through those of one moment.
    """

    def __init__(self) -> None:
        """Have no member yet."""
        self._members: Mapping[Member, Membership] = MappingProxyType({})
        self._changing = threading.Lock()

    def __contains__(self, member: object) -> bool:
        """Say whether it is a member."""
        return member in self._members

    def __iter__(self) -> Iterator[Member]:
        """Go through the members."""
        return iter(self._members)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._members)

    def of(self, member: Member) -> Membership:
        """Return how it is about a member; whoever is none has left."""
        return self._members.get(member, Membership.LEFT)

    def is_suspended(self, member: Member) -> bool:
        """Say whether a member takes no part at the moment."""
        return self.of(member) is Membership.SUSPENDED

    def enter(self, member: Member, membership: Membership) -> None:
        """Note how it is about a member from now on."""
        with self._changing:
            found = {m: s for m, s in self._members.items() if m != member}
            if membership is not Membership.LEFT:
                found[member] = membership
            self._members = MappingProxyType(dict(sorted(found.items())))
