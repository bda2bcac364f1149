"""Whose cosignatures a verifier wants to see below a checkpoint: k of n, by name.

    log exchange.example/log+...
    witness XAA exchange.example/XAA/witness+...
    witness XBB exchange.example/XBB/witness+...
    witness XCC exchange.example/XCC/witness+...
    group members 2 XAA XBB XCC
    quorum members

It is the verifier's, never the exchange's: whoever chooses the witnesses chooses whom
to believe. A group may have groups in it, and asks for `any`, for `all`, or for a
number of them. Without a `log` line it is for any log.

Source: C2SP, "tlog-policy". Its `quorum none` is refused: a policy asks for something.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from biometrics import limits
from biometrics.audit.cosignature import WitnessKey
from biometrics.errors import Fault, InvalidRequestError
from biometrics.settings import configuration_error, decode_text
from biometrics.signing import VerifierKey

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_LOG: Final = range(2, 4)  # words of a line, the address at its end left out or not
_WITNESS: Final = range(3, 5)
_GROUP_WORDS: Final = 4  # at least
_QUORUM_WORDS: Final = 2


@dataclass(frozen=True, slots=True)
class Group:
    """So many of these have to have cosigned."""

    least: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a verifier asks for.

    Attributes:
        logs: which logs it is for; empty for any.
        witnesses: by the policy's own names for them.
        groups: likewise.
        quorum: name of the witness or group that has to have cosigned.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, WitnessKey]
    groups: Mapping[str, Group]
    quorum: str

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Read a policy.

        Args:
            data: of the file.
            source: its name, for people.

        Raises:
            ConfigurationError: with every line that is wrong.
        """
        draft = _Draft()
        for number, line in enumerate(decode_text(data, source).split("\n"), 1):
            try:
                draft.read([w for w in line.replace("\t", " ").split(" ") if w])
            except InvalidRequestError as error:
                draft.faults.append(
                    Fault(
                        field=f"{source}, line {number}",
                        reason=error.reason,
                        message=error.message,
                    )
                )
        if len(draft.quorums) != 1 and not draft.faults:
            told = f"has {len(draft.quorums)} lines `quorum NAME`, and needs one"
            draft.faults.append(
                Fault(field=source, reason="WRONG_POLICY", message=told)
            )
        if draft.faults:
            raise configuration_error(draft.faults)
        return cls(
            logs=tuple(draft.logs),
            witnesses=draft.witnesses,
            groups=draft.groups,
            quorum=draft.quorums[0],
        )

    def is_for(self, key: VerifierKey) -> bool:
        """Say whether it is for a log of this key."""
        return not self.logs or key in self.logs

    def is_met(self, cosigned: Collection[str]) -> bool:
        """Say whether it is enough that the witnesses of these names have cosigned."""
        return self._has(self.quorum, cosigned)

    def _has(self, name: str, cosigned: Collection[str]) -> bool:
        """Say whether a witness, or enough of a group, has cosigned."""
        if name in self.witnesses:
            return name in cosigned
        group = self.groups[name]
        return sum(self._has(e, cosigned) for e in group.members) >= group.least


@dataclass(slots=True)
class _Draft:
    """A policy of which some lines were read."""

    logs: list[VerifierKey] = field(default_factory=list)
    witnesses: dict[str, WitnessKey] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    quorums: list[str] = field(default_factory=list)
    grouped: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)

    def read(self, words: list[str]) -> None:
        """Take one line.

        Raises:
            InvalidRequestError: it is wrong.
        """
        match words:
            case []:
                return
            case [word, *_] if word.startswith("#"):
                return
            case ["log", text, *_] if len(words) in _LOG:
                self._add_log(VerifierKey.parse(text))
            case ["witness", name, text, *_] if len(words) in _WITNESS:
                self._add_witness(name, WitnessKey.parse(text))
            case ["group", name, least, *members] if len(words) >= _GROUP_WORDS:
                self._add_group(name, least, members)
            case ["quorum", name] if len(words) == _QUORUM_WORDS:
                self._known(name)
                self.quorums.append(name)
            case _:
                raise _wrong(
                    "is none of `log KEY`, `witness NAME KEY`, `group NAME all|any|K"
                    " NAME...` and `quorum NAME`"
                )

    def _add_log(self, key: VerifierKey) -> None:
        """Take a log that is not there yet."""
        if key.public in {each.public for each in self.logs}:
            raise _wrong("names a log that is named above")
        self.logs.append(key)

    def _add_witness(self, name: str, key: WitnessKey) -> None:
        """Take a witness that is not there yet, under whatever name."""
        self._new(name)
        if key.public in {each.public for each in self.witnesses.values()}:
            raise _wrong("has the key of a witness above: each counts once")
        self.witnesses[name] = key

    def _add_group(self, name: str, least: str, members: list[str]) -> None:
        """Take a group of what stands above, none of it in two groups."""
        self._new(name)
        for each in members:
            self._known(each)
            if each in self.grouped:
                raise _wrong(f"has `{each}`, which is in a group already: once only")
            self.grouped.add(each)
        number = {"all": str(len(members)), "any": "1"}.get(least, least)
        is_number = number.isascii() and number.isdecimal()
        if not is_number or not 1 <= int(number[:9]) <= len(members):
            raise _wrong(f"asks for `{least}` of {len(members)}")
        self.groups[name] = Group(int(number), tuple(members))

    def _new(self, name: str) -> None:
        """Refuse a name that is taken, and more names than anybody needs."""
        if name == "none" or name in self.witnesses or name in self.groups:
            raise _wrong(f"takes the name `{name}`, which is taken")
        if len(self.witnesses) + len(self.groups) >= limits.MAX_POLICY_NAMES:
            raise _wrong(f"is one more than {limits.MAX_POLICY_NAMES} names")

    def _known(self, name: str) -> None:
        """Refuse a name that does not stand above."""
        if name == "none":
            raise _wrong("asks for nobody; leave the policy out to verify without one")
        if name not in self.witnesses and name not in self.groups:
            raise _wrong(f"names `{name}`, which is no witness or group above it")


def _wrong(told: str) -> InvalidRequestError:
    """Return the error of a line that is wrong."""
    return InvalidRequestError("WRONG_POLICY", told)
