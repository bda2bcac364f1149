"""Who takes part: the settings say it, and it counts while the exchange is served.

A look finds what was edited of `exchange.toml` and of the list of signers. Of the
settings, members that are new, how it is about each, and the number of shards are taken
up; everything else is told, and waits for a restart. What cannot be taken up whole
changes nothing, and is looked at again.

A member that joins:
1. Its keys are at hand, and its auditor's.
2. It is durable, and on the roll: from here on its systems are known.
3. Everybody is told by a leaf, and its agreement is looked at.

A suspension:
1. No search begins by it or of it.
2. It is durable, with its leaf: nothing that was under way is stored any more.

Whoever is resumed is durable as that first, and so is whoever has left.
"""

from __future__ import annotations

from dataclasses import fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from biometrics.errors import ConfigurationError, ExchangeError
from biometrics.members import Membership
from biometrics.server.config import read_config
from biometrics.server.policy import (
    read_auditors,
    read_witnesses,
    unaudited,
)
from biometrics.server.stamp import stamp_of
from biometrics.server.told import Told
from biometrics.signing import read_signers
from biometrics.store import CustodyState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping
    from pathlib import Path

    from biometrics.audit import AuditorKey
    from biometrics.audit.cosignature import WitnessKey
    from biometrics.members import Member
    from biometrics.server.config import Config
    from biometrics.server.in_force import InForce
    from biometrics.server.roll import Roll
    from biometrics.server.stamp import Stamp
    from biometrics.server.unlocking import Unlocking
    from biometrics.store import Store
    from matcher.galleries import Galleries

_RESUMED: Final = (Membership.ACTIVE, Membership.SUSPENDED)  # said, and last
# Of the settings, what is taken up, and what only people read.
_TAKEN_OF_MEMBER: Final = frozenset({"member_names", "memberships"})
_TAKEN: Final = _TAKEN_OF_MEMBER | {"members", "auditors"}
_TOLD_APART: Final = _TAKEN | {"witnesses"}


class Memberships:
    """How it is about each member; of one thread at a time."""

    def __init__(
        self, store: Store, roll: Roll, galleries: Galleries, config: Config
    ) -> None:
        """Have all members of the settings as they were, and as they are by now.

        Raises:
            StorageError: that could not be made durable.
        """
        self._store = store
        self._roll = roll
        self._galleries = galleries
        self._told: list[Told] = []
        last = store.membership.last()
        for member, said in config.memberships.items():
            before = last.get(member)
            if config.is_shared and (said, before) == _RESUMED:
                # Another front end may have suspended it, and runs.
                text = (
                    f"{member} stays suspended: where front ends share a database, it"
                    " is resumed by an edit of its `standing` while one runs"
                )
                self._told.append(Told(text, is_warning=True))
                said = Membership.SUSPENDED  # noqa: PLW2901
            self._told += self.settle(member, said, before)

    def begun(self) -> list[Told]:
        """Return what was found at the start that an operator is to know."""
        return self._told

    def settle(
        self, member: Member, said: Membership, last: Membership | None
    ) -> Iterator[Told]:
        """Have it about a member as the settings say, durably.

        Args:
            member: who.
            said: how the settings say that it is.
            last: how it was last taken up.

        Yields:
            What is told of a change.

        Raises:
            StorageError: it could not be made durable. Whoever is suspended stays so
                all the same.
        """
        if last is Membership.LEFT and said is not last:
            text = f"{member} has left for good, whatever its `standing` says"
            yield Told(text, is_warning=True)
            said = last
        if said is Membership.LEFT and not self._is_gone(member, last):
            text = (
                f"{member} has not left yet: its galleries are not destroyed, or their"
                " certificate is not issued; until then it is suspended, see"
                " `biometrics members leave`"
            )
            yield Told(text, is_warning=True)
            said = Membership.SUSPENDED
        if said is not Membership.ACTIVE:
            self._galleries.suspend(member)
            self._roll.enter(member, Membership.SUSPENDED)
        self._store.membership.keep(member, said)
        self._roll.enter(member, said)
        if said is Membership.ACTIVE:
            self._galleries.resume(member)
        if said is not (last or Membership.ACTIVE):
            yield Told(f"{member} is {said} from now on", is_warning=False)

    def _is_gone(self, member: Member, last: Membership | None) -> bool:
        """Say whether nothing of a member's galleries is left, and that is signed.

        Whoever joined and left since a backup was never here after its restore: there
        is nothing to destroy, and nobody whose certificate could ask for it.
        """
        if last is Membership.LEFT:
            return True
        if last is None and not self._store.register.spaces(member):
            return True
        state = self._store.custody.custody(member).state
        is_destroyed = state is CustodyState.DESTROYED
        return is_destroyed and not self._store.erasures.pending(member)


class SettingsInForce:
    """What of the settings is taken up while the exchange is served.

    `look` is for one thread at a time.
    """

    def __init__(  # noqa: PLR0913 - whatever has a part in a member
        self,
        config: Config,
        *,
        store: Store,
        roll: Roll,
        memberships: Memberships,
        unlocking: Unlocking,
        auditors: MutableMapping[Member, AuditorKey],
        witnesses: MutableMapping[Member, WitnessKey],
        in_force: InForce,
    ) -> None:
        """Go on from `config`, which was taken up at the start.

        Args:
            config: the settings.
            store: what is durable of members.
            roll: who is a member.
            memberships: how it is about each.
            unlocking: has members at hand.
            auditors: whom the log is handed to, by which its entries are sealed.
            witnesses: whose cosignatures are kept.
            in_force: the agreements in force.
        """
        self._config = config
        self._store = store
        self._roll = roll
        self._memberships = memberships
        self._unlocking = unlocking
        self._auditors = auditors
        self._witnesses = witnesses
        self._in_force = in_force
        self._share_out: Callable[[int], None] | None = None
        self._files = _files(config)
        self._at_start = self._stamps()
        # None, so that the first look misses no edit since the start.
        self._settings: Stamp = None
        self._signers: Stamp = None
        self._said: set[str] = set()

    @property
    def names(self) -> Mapping[Member, str]:
        """Names of members, for people; any thread."""
        return self._config.member_names

    def share_out_by(self, share_out: Callable[[int], None] | None) -> None:
        """Have another number of shards by `share_out`; None where there are none."""
        self._share_out = share_out

    def look(self) -> list[Told]:
        """Take up what is new, and refuse what is not good.

        Returns:
            What is new: a refusal, or what waits for a restart, is told once.
        """
        said: set[str] = set()
        told = []
        for each in (*self._of_settings(), *self._of_signers(), *self._of_files()):
            if each.is_warning:
                said.add(each.text)
            if not each.is_warning or each.text not in self._said:
                told.append(each)
        self._said = said
        return [*told, *self._in_force.look()]

    def remind(self) -> None:
        """Have everything looked at and told anew by the next look; any thread."""
        self._said = set()
        self._settings = None

    def _of_settings(self) -> Iterator[Told]:
        """Take up the settings, if they were edited or could not be taken up."""
        stamp = stamp_of(self._config.path)
        if stamp == self._settings:
            return
        try:
            config = read_config(self._config.path)
        except ConfigurationError as error:
            yield _refused("settings", error)
            return
        yield from self._of_shards(config)
        waiting = sorted(_waiting(self._config, config))
        if waiting:
            text = f"settings: {', '.join(waiting)}: counts from the next start on"
            yield Told(text, is_warning=True)
        for member in config.members:
            try:
                yield from self._of_member(member, config)
            except ExchangeError as error:
                yield _refused(f"settings: {member}", error)
        yield from self._of_witnesses(config)
        if self._config.witnesses == config.witnesses and all(
            self._config.memberships.get(member) is said
            for member, said in config.memberships.items()
        ):
            self._settings = stamp

    def _of_shards(self, config: Config) -> Iterator[Told]:
        """Take up how many shards there are, if nothing else of them was edited."""
        before, said = self._config.cluster, config.cluster
        if self._share_out is None or before is None or said is None or before == said:
            return
        if replace(before, shards=said.shards) == said:
            self._share_out(said.shards)
            self._config = replace(self._config, cluster=said)
            text = (
                f"galleries are being shared out over {said.shards} shards; those that"
                " are searched are until these are filled"
            )
            yield Told(text, is_warning=False)

    def _of_witnesses(self, config: Config) -> Iterator[Told]:
        """Take up whose cosignatures are kept, if other files are named."""
        if self._config.witnesses == config.witnesses:
            return
        try:
            keys = read_witnesses(config.witnesses)
        except ConfigurationError as error:
            yield _refused("settings: witnesses", error)
            return
        for member in sorted(self._witnesses.keys() | keys.keys()):
            key = keys.get(member)
            if key == self._witnesses.get(member):
                continue
            if key is None:
                del self._witnesses[member]
                text = f"{member} has no witness from now on"
            else:
                self._witnesses[member] = key
                text = f"the witness of {member} is {key.text} from now on"
            yield Told(text, is_warning=False)
        self._config = replace(self._config, witnesses=config.witnesses)

    def _of_member(self, member: Member, config: Config) -> Iterator[Told]:
        """Take up a member that is new, or how it is about one.

        Raises:
            ConfigurationError: its auditor's key is wrong, or it needs a restart.
            StorageError: it could not be made durable.
        """
        said = config.memberships[member]
        is_known = member in self._config.members
        if is_known and said is self._roll.of(member):
            self._know(member, config)
            return
        last = self._store.membership.last().get(member)
        if not is_known:
            yield from self._welcome(member, config, last)
            return
        yield from self._memberships.settle(member, said, last)
        self._store.log.note_members(self._roll)
        if member not in self._roll:
            yield from self._in_force.trust(read_signers(self._config.signers))
        # One that cannot leave yet is looked at again.
        if said is not Membership.LEFT or member not in self._roll:
            self._know(member, config)

    def _welcome(
        self, member: Member, config: Config, last: Membership | None
    ) -> Iterator[Told]:
        """Have a member that joins.

        Raises:
            ConfigurationError: it has left, its auditor's key is wrong, or it has what
                only a start opens.
            StorageError: it could not be made durable.
        """
        # 1. What is needed of it is at hand.
        if last is Membership.LEFT:
            raise ConfigurationError("HAS_LEFT", f"{member} has left for good")
        if self._store.register.spaces(member):
            raise ConfigurationError(
                "RECORDS_FROM_BEFORE",
                f"{member} has galleries here from before: a restart opens them",
            )
        own = {m: path for m, path in config.auditors.items() if m == member}
        self._auditors.update(read_auditors(own))
        if member not in self._roll:  # or this was tried before, and failed below
            self._unlocking.admit(member, config)
        # 2. It is durable, and its systems are known.
        yield from self._memberships.settle(member, config.memberships[member], last)
        # 3. Everybody is told.
        self._store.log.note_members(self._roll)
        yield Told(f"{member} is a member from now on", is_warning=False)
        for text in unaudited([member], config.auditors):
            yield Told(text, is_warning=True)
        yield from self._in_force.trust(read_signers(self._config.signers))
        self._know(member, config)

    def _know(self, member: Member, config: Config) -> None:
        """Note that a member is as these settings say."""
        own = self._config
        known: dict[str, MappingProxyType[Member, object]] = {}
        # Of one that was a member already, another key or auditor waits.
        for name in _TAKEN_OF_MEMBER if member in own.members else _TAKEN:
            values = dict(getattr(own, name))
            if member in getattr(config, name):
                values[member] = getattr(config, name)[member]
            known[name] = MappingProxyType(values)
        self._config = replace(own, **known)  # type: ignore[arg-type]  # of each name

    def _of_signers(self) -> Iterator[Told]:
        """Take up the list of signers, if it was edited."""
        stamp = stamp_of(self._config.signers)
        if stamp == self._signers:
            return
        try:
            signers = read_signers(self._config.signers)
        except ConfigurationError as error:
            yield _refused("signers", error)
            return
        self._signers = stamp
        if signers.fingerprint == self._in_force.fingerprint:
            return
        text = f"those who sign agreements: SHA-256 {signers.fingerprint}"
        yield Told(text, is_warning=False)
        yield from self._in_force.trust(signers)

    def _of_files(self) -> Iterator[Told]:
        """Tell what else was edited, which waits for a restart."""
        for path, stamp in self._stamps().items():
            if stamp != self._at_start[path]:
                text = f"`{path}` was edited: that counts from the next start on"
                yield Told(text, is_warning=True)

    def _stamps(self) -> dict[Path, Stamp]:
        """Return the stamps of the files that are read at the start alone."""
        return {path: stamp_of(path) for path in self._files}


def _files(config: Config) -> tuple[Path, ...]:
    """Return the files that are read at the start alone."""
    calibrations = sorted(config.calibrations.glob("*.toml"))
    return (config.spaces, *calibrations, config.exchange_key)


# As `exchange.toml` has it, where that is not the name of the field.
_AS_WRITTEN: Final = {
    "cluster": "[matcher]",
    "console_socket": "[console] socket",
    "exchange_key": "[keys] exchange",
    "is_shared": "[store] shared",
    "metrics_listen": "[metrics] listen",
    "slot_seconds": "slot_ms",
    "tls_authority": "[tls] authority",
    "tls_certificate": "[tls] certificate",
    "tls_key": "[tls] key",
    "tls_revoked": "[tls] revoked",
}


def _waiting(before: Config, config: Config) -> Iterator[str]:
    """Yield what differs between settings and is not taken up."""
    for name in (field.name for field in fields(config)):
        is_other = getattr(before, name) != getattr(config, name)
        if is_other and name not in _TOLD_APART:
            yield f"`{_AS_WRITTEN.get(name, name)}`"
    for member in before.members:
        if member not in config.members:
            yield f"that {member} is no member (`biometrics members leave` ends it)"
    for member, standing in config.memberships.items():
        if standing is not Membership.LEFT:
            yield from _waiting_of(member, before, config)


def _waiting_of(member: Member, before: Config, config: Config) -> Iterator[str]:
    """Yield what differs of a member; of a new one all is taken up."""
    if member not in before.members:
        return
    if before.members[member] != config.members[member]:
        yield f"`key` of {member}"
    elif before.auditors.get(member) != config.auditors.get(member):
        yield f"`auditor` of {member}"


def _refused(what: str, error: ExchangeError) -> Told:
    """Return what is told of something that is not taken up."""
    text = f"{what} refused as {error.reason}: {error.message}; those before it count"
    return Told(text, is_warning=True)
