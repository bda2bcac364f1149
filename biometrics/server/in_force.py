"""The agreements in force: signed versions out of a folder, while it is served.

A version comes into force when it is signed, dated and later than the last, and is
durable before it is; so every other front end finds it. Whatever is refused changes
nothing: the version before it stays in force, across restarts too. Nothing is read anew
whose files did not change.
"""

from __future__ import annotations

import threading
from itertools import chain
from typing import TYPE_CHECKING, Final

from biometrics.disclosure import Agreements
from biometrics.errors import ConfigurationError, DefectError, ExchangeError
from biometrics.server.policy import strangers
from biometrics.server.stamp import stamp_of
from biometrics.server.told import Told
from biometrics.settings import read_bytes
from biometrics.signing import verify_version
from biometrics.store import AgreementRow

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from biometrics.clock import Clock
    from biometrics.disclosure import Clause
    from biometrics.members import Member
    from biometrics.server.stamp import Stamp
    from biometrics.signing import SignedVersion, Signers

_DATED_AHEAD: Final = "DATED_IN_FUTURE"
_PASSING: Final = frozenset({_DATED_AHEAD, "UNREADABLE_FILE"})


class InForce:
    """What each holder's last good version says; what changes that goes in turns."""

    def __init__(
        self,
        folder: Path,
        *,
        members: Collection[Member],
        signers: Signers,
        keep: Callable[[AgreementRow], None],
        clock: Clock,
        unkept: Callable[[Iterable[Clause]], Iterable[str]] = lambda _: (),
    ) -> None:
        """Have nothing in force yet.

        Args:
            folder: one `CODE.toml` a holder, and its signatures in `CODE.note`.
            members: of the exchange, at any moment.
            signers: whose signatures count.
            keep: makes the row of a version durable.
            clock: for versions that are dated in the future.
            unkept: says which clauses promise what no calibration supports.
        """
        self._folder = folder
        self._members = members
        self._signers = signers
        self._keep = keep
        self._clock = clock
        self._unkept = unkept
        self._agreements = Agreements(())
        self._versions: dict[Member, SignedVersion] = {}
        self._indexed: dict[Member, SignedVersion] = {}
        self._last: dict[Member, AgreementRow] = {}
        self._stamps: dict[Member, tuple[Stamp, Stamp]] = {}
        self._said: dict[str, str] = {}
        self._changing = threading.RLock()

    def agreements(self) -> Agreements:
        """Return the agreements in force; any thread, and they never change."""
        return self._agreements

    def version_of(self, holder: Member) -> SignedVersion | None:
        """Return what `agreements` has of a holder; None where nothing is in force."""
        return self._indexed.get(holder)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the list of those whose signatures count."""
        return self._signers.fingerprint

    def restore(self, rows: Iterable[AgreementRow]) -> list[Told]:
        """Put in force again what was last, before the first look.

        It has to be signed by those who are listed today. What is not lapses, and
        still bars every version that is not later.
        """
        with self._changing:
            return self._restored(rows)

    def take_up(self, rows: Iterable[AgreementRow]) -> list[Told]:
        """Put in force what another front end has put in force.

        Args:
            rows: the last version of each holder.
        """
        with self._changing:
            return self._restored([row for row in rows if self._is_newer(row)])

    def _is_newer(self, row: AgreementRow) -> bool:
        """Say whether a version is later than what was last in force here."""
        last = self._last.get(row.holder)
        return last is None or row.revision > last.revision

    def _restored(self, rows: Iterable[AgreementRow]) -> list[Told]:
        """Put in force again what is signed of some versions."""
        told: list[Told] = []
        for row in rows:
            if row.holder not in self._members:
                continue
            self._last[row.holder] = row
            try:
                version = verify_version(
                    row.data,
                    row.note,
                    holder=row.holder,
                    source=f"{row.holder}.toml",
                    signers=self._signers,
                )
            except ConfigurationError as error:
                text = (
                    f"agreement of {row.holder}: revision {row.revision} was in force"
                    f" and lapses: {error.message}"
                )
                told.append(Told(text, is_warning=True))
            else:
                self._last[row.holder] = _row(
                    version
                )  # what is signed, not the columns
                self._versions[row.holder] = version
                told += self._entry(version)
        self._rebuild()
        return told

    def trust(self, signers: Signers) -> list[Told]:
        """Believe `signers` and today's members from now on, as a start would.

        What somebody has signed who is not listed any more lapses, and so does what is
        of nobody who is a member.
        """
        with self._changing:
            self._signers = signers
            rows = list(self._last.values())
            self._versions = {}
            self._stamps.clear()
            return [told for told in self._restored(rows) if told.is_warning]

    def look(self) -> list[Told]:
        """Put in force what is new in the folder, and refuse what is not good.

        Returns:
            What is new: a refusal is told once for as long as its cause is the same.
        """
        with self._changing:
            told = list(self._foreign_files())
            for holder in self._members:
                told += self._look_at(holder)
            if self._indexed != self._versions:
                self._rebuild()
            return told

    def _look_at(self, holder: Member) -> list[Told]:
        """Look at one holder's files; no defect that shows there stops the others."""
        path = self._folder / f"{holder}.toml"
        stamps = stamp_of(path), stamp_of(path.with_suffix(".note"))
        if stamps == self._stamps.get(holder):
            return []
        self._stamps[holder] = stamps
        try:
            told = self._take(holder, path)
        except ExchangeError as error:
            refused = error
        except Exception as error:  # noqa: BLE001 - outlives any
            name = type(error).__name__
            refused = DefectError("LOOK_FAILED", f"the look at it ended in `{name}`")
        else:
            self._said.pop(holder.code, None)
            return told
        if _is_passing(refused):
            del self._stamps[holder]
        return list(self._refusal(holder, refused))

    def _take(self, holder: Member, path: Path) -> list[Told]:
        """Put a holder's file in force, unless it is already.

        Raises:
            ExchangeError: it is refused, or could not be made durable.
        """
        last = self._last.get(holder)
        toml_stamp, note_stamp = self._stamps[holder]
        if toml_stamp is None and last is None:
            return []
        if toml_stamp is None:
            told = (
                f"`{path.name}` cannot be found; to end an agreement, sign one without"
            )
            raise ConfigurationError("MISSING_FILE", f"{told} a clause")
        # 1. It is signed by two who are listed for this holder.
        version = verify_version(
            read_bytes(path),
            None if note_stamp is None else read_bytes(path.with_suffix(".note")),
            holder=holder,
            source=path.name,
            signers=self._signers,
        )
        # 2. It is not of the future, and not of the past.
        _refuse_undue(version, last, self._clock.now())
        row = _row(version)
        if row == last and holder in self._versions:
            return []
        # 3. It is durable before it counts.
        self._keep(row)
        self._last[holder] = row
        self._versions[holder] = version
        return list(self._entry(version))

    def _entry(self, version: SignedVersion) -> Iterator[Told]:
        """Yield what is told of a version that comes into force."""
        holder, revision = version.version.holder, version.version.revision
        names = " and ".join(f"`{signer.name}`" for signer in version.signers)
        yield Told(
            f"agreement of {holder}: revision {revision} of"
            f" {version.version.dated.isoformat()} is in force, signed by {names};"
            f" SHA-256 {version.digest.hex()}",
            is_warning=False,
        )
        clauses = version.version.clauses
        for text in (*strangers(clauses, self._members), *self._unkept(clauses)):
            yield Told(text, is_warning=True)

    def _refusal(self, holder: Member, error: ExchangeError) -> Iterator[Told]:
        """Yield what is told of a version that is refused, once."""
        kept = self._versions.get(holder)
        stays = (
            f"revision {kept.version.revision} stays in force"
            if kept
            else f"{holder} permits nothing"
        )
        yield from self._once(
            holder.code,
            f"agreement of {holder}: refused as {error.reason}: {error.message};"
            f" {stays}",
        )

    def _foreign_files(self) -> Iterator[Told]:
        """Yield, once, a note of each file that is no member's."""
        own = {f"{holder}.toml" for holder in self._members}
        for path in sorted(self._folder.glob("*.toml")):
            if path.name not in own:
                text = (
                    f"`{path.name}` is no agreement of a member of this exchange; take"
                    " the file away, or add a [[member]] where one has not left"
                )
                yield from self._once(path.name, text)

    def _once(self, about: str, text: str) -> Iterator[Told]:
        """Yield a warning, unless it was the last one about the same."""
        if self._said.get(about) != text:
            self._said[about] = text
            yield Told(text, is_warning=True)

    def _rebuild(self) -> None:
        """Index what is in force; whoever has the agreements of before keeps them."""
        self._indexed = dict(self._versions)
        self._agreements = Agreements(
            chain.from_iterable(
                signed.version.clauses for signed in self._versions.values()
            ),
            {holder: signed.digest for holder, signed in self._versions.items()},
        )


def _is_passing(error: ExchangeError) -> bool:
    """Say whether the same file may be good later: in time, or once the disk works."""
    return not isinstance(error, ConfigurationError) or error.reason in _PASSING


def _refuse_undue(
    version: SignedVersion, last: AgreementRow | None, now: dt.datetime
) -> None:
    """Refuse a version of the future, and one that is not later than the last.

    Raises:
        ConfigurationError: it is.
    """
    revision, dated = version.version.revision, version.version.dated
    if version.version.is_ahead_of(now):
        raise ConfigurationError(
            _DATED_AHEAD,
            f"revision {revision} is dated {dated.isoformat()}, which is in the future;"
            " sign it again, or wait",
        )
    if last is None:
        return
    if revision < last.revision:
        raise ConfigurationError(
            "ROLLED_BACK",
            f"revision {revision} is older than revision {last.revision}, which was in"
            " force; sign what is to count as a later one",
        )
    if revision == last.revision and version.digest != last.digest:
        raise ConfigurationError(
            "REVISION_REUSED",
            f"revision {revision} was in force with other content; sign this as a later"
            " one",
        )


def _row(version: SignedVersion) -> AgreementRow:
    """Return a version as it is kept."""
    return AgreementRow(
        holder=version.version.holder,
        revision=version.version.revision,
        digest=version.digest,
        data=version.data,
        note=version.note,
    )
