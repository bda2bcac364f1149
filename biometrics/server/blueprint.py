"""What `biometrics init DIR` writes: a whole exchange to start from.

DIR/exchange.toml      the settings, which name everything else
DIR/spaces.toml        the template spaces
DIR/calibrations/      from where templates match, one file a space
DIR/agreements/        one file a holder, and its signatures
DIR/signers.toml       whose signatures count
DIR/signing/           the samples' signing keys, for development only
DIR/auditors/          keys of the members' auditors, for development only
DIR/witnesses/         keys of the members' witnesses, likewise
DIR/keys/              key-encryption keys: the exchange's and each member's
DIR/pki/               a development authority, and what it signed
DIR/clients/           profiles of the members' systems
DIR/data/              the database will be here
DIR/.gitignore         keeps all of it, the keys above all, out of a repository
"""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.audit import AuditorSecret
from biometrics.audit.cosignature import WitnessSecret
from biometrics.callers import Caller, Role
from biometrics.custody import create_key_file
from biometrics.errors import ConfigurationError
from biometrics.files import cannot_write
from biometrics.members import Member
from biometrics.server.config import read_config
from biometrics.server.development import write_agreement, write_signers
from biometrics.server.development_pki import DevelopmentPki, target_of
from biometrics.server.samples import (
    AGREEMENTS,
    CALIBRATION,
    CONSOLE,
    EVERYBODY,
    NO_CLAUSE,
    SAMPLE_CLAUSES,
    SAMPLE_MEMBERS,
    SETTINGS,
    SPACES,
    SampleClause,
)
from biometrics.settings import quoted
from biometrics.signing.files import create_secret_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from biometrics.clock import Clock

TRUST_DOMAIN: Final = "exchange.test"
ROLES: Final = (
    Role.CLIENT,
    Role.ENROLLER,
    Role.ADMINISTRATOR,
    Role.AUDITOR,
    Role.OFFICER,
)
_VALIDITY: Final = dt.timedelta(days=365)
_PRIVATE: Final = 0o700
CONSOLE_LISTEN: Final = "127.0.0.1:7445"


def write_exchange(
    directory: Path,
    *,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    listen: str,
    console: str | None = None,
    members: Mapping[str, str] | None = None,
) -> Path:
    """Write a new exchange, whole or not at all, and return its `exchange.toml`.

    Args:
        directory: where; it must not exist, or be empty. Its parent must exist.
        clock: for the validity of certificates and agreements.
        random_bytes: for keys and serial numbers.
        listen: host and port to listen on.
        console: host and port of a console; None for an exchange without.
        members: name by code; the sample members if None. Of the sample agreements
            those are written that only such members are parties to.

    Raises:
        ConfigurationError: the directory is in use or cannot be written, or what was
            handed in is not valid.
        InvalidRequestError: a code is no member's.
    """
    named = {Member(code): name for code, name in (members or SAMPLE_MEMBERS).items()}
    target = directory.absolute()
    _refuse_in_use(target)
    # A sibling, so that the last step is one rename within one file system.
    draft = target.with_name(f".{target.name}.{random_bytes(8).hex()}")
    try:
        draft.mkdir(_PRIVATE)
        _write_settings(draft, named, listen, console)
        _write_calibrations(draft, clock.now().date())
        write_signers(draft, named, TRUST_DOMAIN, random_bytes)
        _write_agreements(draft, named, clock.now())
        _write_keys(draft, named, random_bytes)
        _write_auditors(draft, named, random_bytes)
        _write_witnesses(draft, named, random_bytes)
        pki = DevelopmentPki(
            draft, TRUST_DOMAIN, clock=clock, random_bytes=random_bytes
        )
        callers = [
            Caller(member=member, role=role, name=f"{role}-1")
            for member in named
            for role in ROLES
        ]
        pki.begin(callers)
        for caller in callers:
            pki.write_profile(caller, target_of(listen))
        read_config(draft / "exchange.toml")  # whatever was handed in is checked too
        draft.rename(target)
    except OSError as error:
        raise cannot_write(directory, error, "; nothing was left behind") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return directory / "exchange.toml"


def _refuse_in_use(target: Path) -> None:
    """Refuse a directory that something is in, or that somebody stands in.

    Raises:
        ConfigurationError: with what to do.
    """
    if not target.parent.is_dir():
        raise ConfigurationError(
            "NO_PARENT", f"there is no folder `{target.parent}`; make it first"
        )
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ConfigurationError(
            "NOT_A_FOLDER", f"`{target}` exists and is no folder; choose another name"
        )
    if target.is_dir() and any(target.iterdir()):
        raise ConfigurationError(
            "NOT_EMPTY",
            f"`{target}` is not empty, and nothing in it is overwritten; choose"
            " another name or empty it yourself",
        )
    if target == Path.cwd():
        raise ConfigurationError(
            "WORKING_FOLDER",
            "the working folder cannot be replaced; name a new folder in it",
        )


def _write_settings(
    folder: Path, members: Mapping[Member, str], listen: str, console: str | None
) -> None:
    """Write the settings and the spaces, and make the place for data."""
    tables = "\n".join(
        f"[[member]]\ncode = {quoted(member.code)}\nname = {quoted(name)}\n"
        f'key = "keys/{member}.key"\nauditor = "auditors/{member}.pub"\n'
        f'witness = "witnesses/{member}.pub"\n'
        for member, name in members.items()
    )
    text = SETTINGS.format(
        domain=quoted(TRUST_DOMAIN),
        listen=quoted(listen),
        members=tables,
        connections=limits.DEFAULT_CONNECTIONS,
        slot=limits.DEFAULT_SLOT_MILLISECONDS,
        off="# " if console is None else "",
    )
    (folder / "exchange.toml").write_text(text, "utf-8")
    (folder / "spaces.toml").write_text(SPACES, "utf-8")
    own = CONSOLE.format(listen=quoted(console or CONSOLE_LISTEN))
    (folder / "console.toml").write_text(own, "utf-8")
    (folder / ".gitignore").write_text("*\n", "utf-8")
    (folder / "data").mkdir(_PRIVATE)


def _write_calibrations(folder: Path, today: dt.date) -> None:
    """Write the calibration of the sample space."""
    place = folder / "calibrations"
    place.mkdir()
    text = CALIBRATION.format(day=today.isoformat())
    (place / "face-synthetic-512.toml").write_text(text, "utf-8")


def _write_agreements(
    folder: Path, members: Mapping[Member, str], now: dt.datetime
) -> None:
    """Write one signed file a holder; a holder without a clause permits nothing."""
    (folder / "agreements").mkdir()
    dated = now.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    known = {EVERYBODY, *(member.code for member in members)}
    for member, name in members.items():
        clauses = [
            _clause(clause, now.date())
            for clause in SAMPLE_CLAUSES
            if clause.holder == member.code and clause.requester in known
        ]
        head = AGREEMENTS.format(holder=member, name=_commented(name), dated=dated)
        write_agreement(folder, "\n".join([head, *(clauses or [NO_CLAUSE])]))


def no_agreement(member: Member, now: dt.datetime) -> str:
    """Return an agreement that permits nothing, to begin with."""
    dated = now.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    head = AGREEMENTS.format(holder=member, name=member, dated=dated)
    return f"{head}\n{NO_CLAUSE}"


def _clause(clause: SampleClause, today: dt.date) -> str:
    """Return the TOML of one clause."""
    purposes = ", ".join(quoted(purpose) for purpose in clause.purposes)
    if clause.level is None:
        narrowed = f"purposes = [{purposes}]\n" if purposes else ""
        return (
            f"[[forbid]]\nrequester = {quoted(clause.requester)}\n"
            f"{narrowed}reason = {quoted(clause.comment)}\n"
        )
    return (
        f"# {clause.comment}\n[[permit]]\nrequester = {quoted(clause.requester)}\n"
        f'purposes = [{purposes}]\nmodalities = ["face"]\n'
        f"level = {quoted(clause.level)}\nvalid_from = {today}\n"
        f"valid_until = {today + _VALIDITY}\n"
        'legal_basis = "sample; name the treaty and the article here"\n'
    )


def _write_keys(
    folder: Path,
    members: Iterable[Member],
    random_bytes: Callable[[int], bytes],
) -> None:
    """Write the key-encryption keys, each to be read by its owner alone."""
    place = folder / "keys"
    place.mkdir(_PRIVATE)
    for name in ("exchange", *(member.code for member in members)):
        create_key_file(place / f"{name}.key", random_bytes)


def _write_auditors(
    folder: Path,
    members: Iterable[Member],
    random_bytes: Callable[[int], bytes],
) -> None:
    """Write the keys of the members' auditors: secret ones for their owner alone."""
    place = folder / "auditors"
    place.mkdir(_PRIVATE)
    for member in members:
        secret = AuditorSecret.generate(member, random_bytes)
        create_secret_file(place / f"{member}.key", secret.text)
        (place / f"{member}.pub").write_text(f"{secret.public.text}\n", "utf-8")


def _write_witnesses(
    folder: Path,
    members: Iterable[Member],
    random_bytes: Callable[[int], bytes],
) -> None:
    """Write the keys of the members' witnesses: secret ones for their owner alone."""
    place = folder / "witnesses"
    place.mkdir(_PRIVATE)
    for member in members:
        name = f"{TRUST_DOMAIN}/{member}/witness"
        secret = WitnessSecret.generate(name, random_bytes)
        create_secret_file(place / f"{member}.key", secret.text)
        (place / f"{member}.pub").write_text(f"{secret.public.text}\n", "utf-8")


def _commented(text: str) -> str:
    """Return a text that stays in the one line of its comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
