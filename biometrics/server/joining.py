"""What a member needs to join, file by file, and its table in the settings at last.

1. Its key, unless it keeps it itself or it lies on a token.
2. Its auditor's key, to which the log is handed, and its witness's, which cosigns it.
3. Who signs its agreement.
4. For development: its agreement, signed, and certificates of its systems.
5. Its `[[member]]` in `exchange.toml`: from then on it is a member.

Nothing that is there is overwritten, and each step finds what it has made before: what
was stopped, by `kill -9` too, is finished by the same call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from biometrics.audit import AuditorSecret
from biometrics.audit.cosignature import WitnessSecret
from biometrics.callers import Caller, Role
from biometrics.custody import KeyFile, create_key_file, parse_source
from biometrics.errors import ConfigurationError
from biometrics.members import Membership
from biometrics.server.blueprint import ROLES, no_agreement
from biometrics.server.config import read_config
from biometrics.server.development import (
    make_signing_keys,
    write_agreement,
)
from biometrics.server.development_pki import DevelopmentPki, target_of
from biometrics.server.policy import read_auditors, read_witnesses
from biometrics.server.tables import editing, put, with_standing, with_table
from biometrics.settings import read_text
from biometrics.signing import read_signers
from biometrics.signing.files import (
    create_secret_file,
    read_secret_file,
    replace_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.server.config import Config

_PRIVATE: Final = 0o700
# Folders of the public keys that a member's settings name.
_PLACES: Final = {"auditor": "auditors", "witness": "witnesses"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """What an operator says of a member that joins.

    Attributes:
        member: who.
        name: for people.
        key: where its key-encryption key comes from, as the settings say it.
        auditor: file of its auditor's public key, None for none.
        witness: likewise of its witness's.
        signers: public keys of those who sign its agreement, by name.
        is_development: make everything here that members make themselves.
    """

    member: Member
    name: str
    key: str
    auditor: Path | None
    witness: Path | None = None
    signers: Mapping[str, str] = field(default_factory=dict)
    is_development: bool = False


class Joining:
    """Makes what a member needs, for one exchange."""

    def __init__(
        self, path: Path, *, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        """Work beside `exchange.toml` at `path`."""
        self._path = path
        self._root = path.parent
        self._clock = clock
        self._random_bytes = random_bytes

    def join(self, newcomer: Newcomer) -> Config:
        """Make all that is missing, and return the settings with the member.

        Raises:
            ConfigurationError: it is a member already with other things, or something
                is not as it must be. What was made by then stays, and is found again.
        """
        with editing(self._root):
            config = read_config(self._path)
            table = {
                "code": newcomer.member.code,
                "name": newcomer.name,
                "key": newcomer.key,
            }
            own = _own_of(newcomer)
            table |= {name: f"{_PLACES[name]}/{newcomer.member}.pub" for name in own}
            self._refuse_other(config, newcomer, table)
            source = parse_source(newcomer.key, self._root)
            # 1. Its key.
            if isinstance(source, KeyFile) and not source.path.exists():
                source.path.parent.mkdir(_PRIVATE, exist_ok=True)
                create_key_file(source.path, self._random_bytes)
            source.open(self._random_bytes)  # what is there has to be a key
            # 2. Its auditor's, and its witness's.
            for name, given in own.items():
                self._put_public(config, newcomer.member, name, given)
            # 3. Its signers.
            self._put_signers(config, newcomer)
            # 4. What a member of a pilot on one computer has.
            if newcomer.is_development:
                self._put_development(config, newcomer.member)
            # 5. The member.
            if newcomer.member not in config.members:
                text = with_table(read_text(self._path), "member", table)
                put(self._path, text, read_config)
            return read_config(self._path)

    def settings(self) -> Config:
        """Return the settings as they are."""
        return read_config(self._path)

    def revoke_all(self, member: Member) -> int | None:
        """Take back a member's certificates of a development authority; say how many.

        None where there is none: nothing can be taken back here.
        """
        try:
            pki, _ = DevelopmentPki.of(
                self._path, clock=self._clock, random_bytes=self._random_bytes
            )
        except ConfigurationError:
            return None
        return len(pki.revoke_all(member))

    def set(self, member: Member, membership: Membership) -> Config:
        """Say in the settings how it is about a member, and return them.

        Raises:
            ConfigurationError: it is no member, or has left; nothing was changed.
        """
        with editing(self._root):
            config = read_config(self._path)
            before = config.memberships.get(member)
            if before is Membership.LEFT and membership is not before:
                raise _has_left(member)
            if before is not membership:
                text = with_standing(read_text(self._path), member, membership)
                put(self._path, text, read_config)
            return read_config(self._path)

    def _refuse_other(
        self, config: Config, newcomer: Newcomer, table: Mapping[str, str]
    ) -> None:
        """Refuse a member that is there with other things."""
        member = newcomer.member
        if member not in config.members:
            return
        if config.memberships[member] is Membership.LEFT:
            raise _has_left(member)

        def wanted(name: str) -> Path | None:
            return self._root / table[name] if name in table else None

        is_same = (
            config.member_names[member] == newcomer.name
            and config.members[member] == parse_source(newcomer.key, self._root)
            and config.auditors.get(member) == wanted("auditor")
            and config.witnesses.get(member) == wanted("witness")
        )
        if not is_same:
            raise ConfigurationError(
                "ALREADY_A_MEMBER",
                f"{member} is a member already, with another name, key, auditor or"
                " witness, and nothing was changed: `biometrics members list` shows it;"
                " edit its [[member]] in the settings, and restart",
            )

    def _put_public(
        self, config: Config, member: Member, name: str, given: Path | None
    ) -> None:
        """Put a public key where the settings name it."""
        path = self._root / _PLACES[name] / f"{member}.pub"
        path.parent.mkdir(_PRIVATE, exist_ok=True)
        if given is None:
            text = self._made(config, member, name, path.with_suffix(".key"))
        elif name == "auditor":
            text = read_auditors({member: given})[member].text
        else:
            # No two members have the same one.
            text = read_witnesses({**config.witnesses, member: given})[member].text
        if path.exists() and read_text(path).strip() != text:
            raise ConfigurationError(
                f"OTHER_{name.upper()}",
                f"`{path}` is there with another key; nothing is overwritten: find out"
                " whose it is, and take it away",
            )
        replace_file(path, f"{text}\n".encode())

    def _made(self, config: Config, member: Member, name: str, path: Path) -> str:
        """Return a public key whose secret one is in a file, which is made if need be.

        For development: a member makes its own, where nobody here can read them.
        """
        kind = AuditorSecret if name == "auditor" else WitnessSecret
        if not path.exists():
            secret = (
                AuditorSecret.generate(member, self._random_bytes)
                if name == "auditor"
                else WitnessSecret.generate(
                    f"{config.trust_domain}/{member}/witness", self._random_bytes
                )
            )
            create_secret_file(path, secret.text)
        return kind.parse(read_secret_file(path)).public.text

    def _put_signers(self, config: Config, newcomer: Newcomer) -> None:
        """List those who sign for the member."""
        wanted = dict(newcomer.signers)
        if newcomer.is_development:
            wanted |= make_signing_keys(
                self._root, newcomer.member, config.trust_domain, self._random_bytes
            )
        listed = read_signers(config.signers).of(newcomer.member)
        there = {signer.name: signer.key.text for signer in listed}
        if wanted == there or not wanted:
            return
        if there:
            raise ConfigurationError(
                "OTHER_SIGNERS",
                f"`{config.signers}` lists other signers of {newcomer.member}; nothing"
                " was changed: whoever signs is changed there, with the member's"
                " consent",
            )
        text = read_text(config.signers)
        for name, key in wanted.items():
            row = {"holder": newcomer.member.code, "name": name, "key": key}
            text = with_table(text, "signer", row)
        put(config.signers, text, read_signers)

    def _put_development(self, config: Config, member: Member) -> None:
        """Sign an agreement that permits nothing, and certificates."""
        if not (config.agreements / f"{member}.note").exists():
            write_agreement(self._root, no_agreement(member, self._clock.now()))
        pki, _ = DevelopmentPki.of(
            self._path, clock=self._clock, random_bytes=self._random_bytes
        )
        for role in ROLES:
            own = config.admin_listen if role is Role.ADMINISTRATOR else None
            caller = Caller(member=member, role=role, name=f"{role}-1")
            pki.ensure(caller, target_of(own or config.listen))


def _own_of(newcomer: Newcomer) -> dict[str, Path | None]:
    """Return whose public keys a member has, and in which file; None: made here."""
    named = {"auditor": newcomer.auditor, "witness": newcomer.witness}
    if newcomer.is_development:
        return named
    return {name: path for name, path in named.items() if path is not None}


def _has_left(member: Member) -> ConfigurationError:
    """Return the error of a member that is none any more."""
    return ConfigurationError(
        "HAS_LEFT",
        f"{member} has left for good: its code stands for what the log tells of it, and"
        " is not given again",
    )
