"""`biometrics members`: who takes part, told to an exchange while it is served."""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biometrics import limits
from biometrics.callers import Role
from biometrics.cli import galleries
from biometrics.cli.output import print_json, print_line, print_note, print_table
from biometrics.cli.session import ConfigOption, JsonOption
from biometrics.client import ExchangeClient, Profile
from biometrics.clock import SystemClock
from biometrics.errors import (
    InvalidRequestError,
    PreconditionError,
    UnavailableError,
)
from biometrics.members import Member, Membership
from biometrics.signing import read_signers

if TYPE_CHECKING:
    from biometrics.server.config import Config
    from biometrics.server.joining import Joining
    from biometrics.store import Inspection

app = typer.Typer(help="The members of your exchange.", no_args_is_help=True)

LOOK_SECONDS = 0.1

# What a member does where it is; its keys never leave that.
NEXT = """\
next, the member: for each of its systems a key, and a request to its authority:
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \\
        -keyout {member}-client.key -out {member}-client.csr -subj '/CN={member}' \\
        -addext 'subjectAltName=URI:{uri}/client/client-1'
  each with one URI, {uri}/ROLE/NAME, of the roles {roles}
next, the member: a profile beside each certificate, {member}-client.toml:
    version = 1
    target = "HOST:PORT"
    server_name = "HOST"
    authority = "authority.pem"
    certificate = "{member}-client.pem"
    key = "{member}-client.key"
next, the member: {member}.toml, its agreement, proposed and approved by its signers;
  until the exchange has it with its note in `agreements`, it permits nothing
next, the member: biometrics conformance --as {member} --profiles FOLDER
"""

CodeArgument = Annotated[
    str, typer.Argument(help="Of the member, such as `XAA`.", metavar="CODE")
]
WaitOption = Annotated[
    bool,
    typer.Option(
        "--wait/--no-wait", help="Wait until the exchange that is served goes by it."
    ),
]


@app.callback()
def group() -> None:
    """The members of your exchange, for its operator.

    Each command edits `exchange.toml` whole or not at all, and the exchange takes it up
    within seconds, with no call dropped. Given again after a stop it finishes. Run them
    as the exchange's own user, who has to read what they make.
    """


@app.command()
def join(  # noqa: PLR0913 - an option each
    code: CodeArgument,
    config: ConfigOption,
    *,
    name: Annotated[str, typer.Option(help="For people.", metavar="TEXT")],
    key: Annotated[
        str | None,
        typer.Option(
            help="Where its key-encryption key comes from: a file beside the settings,"
            " which is made (by default `keys/CODE.key`); `handed-over`, if it keeps"
            " it itself; or a URI `pkcs11:...`.",
            metavar="SOURCE",
        ),
    ] = None,
    auditor: Annotated[
        Path | None,
        typer.Option(
            help="Public key of its auditor, as `audit key` printed it there.",
            metavar="FILE",
        ),
    ] = None,
    witness: Annotated[
        Path | None,
        typer.Option(
            help="Public key of its witness, as `audit witness-key` printed it there.",
            metavar="FILE",
        ),
    ] = None,
    signer: Annotated[
        list[str] | None,
        typer.Option(
            help="Who signs its agreement, as `agreements key` printed the key there;"
            " two or more.",
            metavar="NAME=KEY",
        ),
    ] = None,
    development: Annotated[
        bool,
        typer.Option(
            "--development",
            help="DEVELOPMENT ONLY: make the member's own keys and certificates too, on"
            " this computer.",
        ),
    ] = False,
    wait: WaitOption = True,
) -> None:
    """Add a member, and say what it has to do next.

    It permits nothing and nobody until its agreement is signed. Refused where it is a
    member already with other things; nothing that is there is overwritten.
    """
    from biometrics.server.joining import Newcomer  # noqa: PLC0415 - late, as elsewhere

    member = Member(code)
    if development and (auditor or witness or signer):
        raise InvalidRequestError(
            "ONE_OR_THE_OTHER",
            "`--development` makes auditor, witness and signers itself; leave out"
            " `--auditor`, `--witness` and `--signer`, or it",
        )
    newcomer = Newcomer(
        member=member,
        name=name,
        key=key or f"keys/{member}.key",
        auditor=auditor,
        witness=witness,
        signers=dict(map(_signer, signer or [])),
        is_development=development,
    )
    settings = _joining(config).join(newcomer)
    signers = len(read_signers(settings.signers).of(member))
    print_line(f"{member} is in {config}")
    if wait:
        _taken_up(settings, member, settings.memberships[member])
    for line in _next(settings, member, signers=signers, is_development=development):
        print_line(line)


@app.command("list")
def list_members(config: ConfigOption, *, as_json: JsonOption = False) -> None:
    """List the members, how it is about each, and whether the exchange goes by it."""
    from biometrics.server.config import read_config  # noqa: PLC0415 - likewise

    settings = read_config(config)
    signers = read_signers(settings.signers)
    with _stored(settings) as stored:
        last = {} if stored is None else stored.membership.last()
    rows = [
        {
            "code": member.code,
            "name": settings.member_names[member],
            "standing": membership.value,
            "in_effect": last.get(member) is membership,
            "auditor": member in settings.auditors,
            "witness": member in settings.witnesses,
            "signers": len(signers.of(member)),
        }
        for member, membership in settings.memberships.items()
    ]
    if as_json:
        print_json({"members": rows})
        return
    print_table(
        ("code", "name", "standing", "in effect", "auditor", "witness", "signers"),
        [
            (
                *(row["code"], row["name"], row["standing"]),
                *(
                    "yes" if row[key] else "no"
                    for key in ("in_effect", "auditor", "witness")
                ),
                row["signers"],
            )
            for row in rows
        ],
        texts=("name",),
    )


@app.command()
def suspend(
    code: CodeArgument, config: ConfigOption, *, wait: WaitOption = True
) -> None:
    """Let a member ask nobody, and nobody ask of it, until it is resumed.

    Its systems are refused (MEMBER_SUSPENDED), but for administrators and auditors.
    At others' searches it is UNAVAILABLE. Nothing of it is changed.
    """
    _set(config, Member(code), Membership.SUSPENDED, wait=wait)


@app.command()
def resume(
    code: CodeArgument, config: ConfigOption, *, wait: WaitOption = True
) -> None:
    """Let a suspended member take part again, with all that it has."""
    _set(config, Member(code), Membership.ACTIVE, wait=wait)


@app.command()
def leave(
    code: CodeArgument,
    config: ConfigOption,
    *,
    yes: Annotated[
        str,
        typer.Option(
            "--yes",
            help="Its code again: end it without asking.",
            metavar="CODE",
            prompt="It will be no member any more, for good. Its code again",
        ),
    ],
    administrator: Annotated[
        Path | None,
        typer.Option(
            help="Profile of the member's own administrator, who alone can destroy what"
            " it has enrolled. Without it that is to be done before, where the member"
            " is: `galleries destroy`.",
            metavar="FILE",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="Write the certificate of erasure into this folder, which must be"
            " there.",
            metavar="FOLDER",
            file_okay=False,
            exists=True,
        ),
    ] = None,
) -> None:
    """End a membership: suspended at once, destroyed with its consent, then gone.

    The exchange must be served. Stopped anywhere, the same command goes on from there;
    until the galleries are destroyed, `resume` undoes it.
    """
    member = Member(code)
    if yes != code:
        raise InvalidRequestError(
            "NOT_CONFIRMED",
            f"`--yes` must be `{code}`, who would be no member any more",
        )
    joining = _joining(config)
    # 1. Nothing is asked by it or of it.
    settings = joining.settings()
    if settings.memberships.get(member) is not Membership.LEFT:
        settings = joining.set(member, Membership.SUSPENDED)
        _taken_up(settings, member, Membership.SUSPENDED)
        # 2. What it has enrolled is destroyed, and that is certified.
        if not _is_erased(settings, member):
            _destroy(member, administrator)
        # 3. It is no member.
        settings = joining.set(member, Membership.LEFT)
    _taken_up(settings, member, Membership.LEFT)
    # 4. Certificates of a development authority are taken back.
    revoked = joining.revoke_all(member)
    _tell_left(settings, member, revoked, to)


def _signer(text: str) -> tuple[str, str]:
    """Return name and key of a signer.

    Raises:
        InvalidRequestError: there is only one of them.
    """
    # A key is base64, which ends in `=` as well.
    name, equals, key = text.partition("=")
    if not (name.strip() and equals and key.strip()):
        raise InvalidRequestError(
            "WRONG_SIGNER",
            "`--signer` takes `NAME=KEY`, such as `Ministry=exchange...`",
        )
    return name.strip(), key.strip()


def _joining(config: Path) -> "Joining":
    """Return what edits the settings."""
    # Late, with the server: clients need not wait for it.
    from biometrics.server.joining import Joining  # noqa: PLC0415

    return Joining(config, clock=SystemClock(), random_bytes=secrets.token_bytes)


@contextlib.contextmanager
def _stored(settings: "Config") -> "Iterator[Inspection | None]":
    """Look into the database of an exchange, which may be served."""
    from biometrics.store import inspect_store  # noqa: PLC0415 - likewise

    with inspect_store(settings.database) as stored:
        yield stored


def _set(config: Path, member: Member, membership: Membership, *, wait: bool) -> None:
    """Say how it is about a member, and wait until it is so."""
    settings = _joining(config).set(member, membership)
    if wait:
        _taken_up(settings, member, membership)
    told = "is" if wait else "will be"
    print_line(f"{member} {told} {membership}")


def _taken_up(settings: "Config", member: Member, membership: Membership) -> None:
    """Wait until the exchange goes by what the settings say of a member.

    Raises:
        UnavailableError: it does not; what the settings say stays.
    """

    def is_so() -> bool:
        with _stored(settings) as stored:
            return (
                stored is not None
                and stored.membership.last().get(member) is membership
            )

    if not _waited(is_so, limits.TAKEN_UP_SECONDS):
        raise UnavailableError(
            "NOT_TAKEN_UP",
            f"the settings say that {member} is {membership}, and that is NOT IN EFFECT"
            " yet: the exchange is not served, or its log says what it waits for; give"
            " the command again",
        )


def _waited(is_so: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is so; say whether it is."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def _is_erased(settings: "Config", member: Member) -> bool:
    """Say whether nothing of a member's galleries is left, and that is certified."""
    from biometrics.store import CustodyState  # noqa: PLC0415 - likewise

    with _stored(settings) as stored:
        if stored is None:
            return False
        state = stored.custody.custody(member).state
        return state is CustodyState.DESTROYED and not stored.erasures.pending(member)


def _destroy(member: Member, administrator: Path | None) -> None:
    """Destroy what a member has enrolled, as its administrator.

    Raises:
        PreconditionError: none is at hand.
    """
    if administrator is None:
        raise PreconditionError(
            "NOT_DESTROYED",
            f"{member} is suspended, and has not left yet: its administrator has to"
            " destroy its galleries, by `biometrics galleries destroy` where the member"
            " is, or here with `--administrator`; then give this command again. Its"
            " auditor can take the log away until then: `biometrics audit export`",
        )
    with ExchangeClient(Profile.load(administrator)) as exchange:
        exchange.lock(deadline=galleries.LONGEST)
        exchange.destroy(confirm_holder=member.code, deadline=galleries.LONGEST)
        galleries.finish(exchange, "records to delete")


def _tell_left(
    settings: "Config", member: Member, revoked: int | None, to: Path | None
) -> None:
    """Say what was done of a leaving, and what is left to do."""
    with _stored(settings) as stored:
        last = None if stored is None else stored.erasures.last(member)
    if last is not None and last.note is not None:
        if to is not None:
            path = to / f"erasure-{last.number}.note"
            path.write_bytes(last.note)
            print_note(f"the certificate of erasure is in {path}")
        for line in last.note.decode().splitlines():
            print_line(line)
    print_line(f"{member} has left")
    if revoked is not None:
        print_line(f"certificates of the development authority taken back: {revoked}")
    else:
        print_line("next: have its authority put its certificates on the list")
    print_line(
        f"next: have others sign agreements without {member}; theirs that name it"
        " have no effect, and the log of the exchange names them"
    )
    print_line(f"next: take `{member}.toml` and its note out of {settings.agreements}")
    print_line(
        "next: destroy its key-encryption key, wherever a copy is: it opens what"
        " backups of before have"
    )


def _next(
    settings: "Config", member: Member, *, signers: int, is_development: bool
) -> list[str]:
    """Return what a member that has joined does next."""
    if is_development:
        profiles = settings.path.parent / "clients"
        return [
            "development only: all its keys are on this computer",
            f"next: others sign agreements that let {member} search them",
            f"next: biometrics conformance --as {member} --profiles {profiles}",
        ]
    text = NEXT.format(
        member=member,
        uri=f"spiffe://{settings.trust_domain}/member/{member}",
        roles=", ".join(Role),
    )
    if member not in settings.auditors:
        text += "warning: no `--auditor`: nobody can open what the log tells it\n"
    if signers < limits.SIGNATURES_REQUIRED:
        text += (
            "warning: fewer than two `--signer`: no agreement of it counts until"
            f" {settings.signers} lists two\n"
        )
    return text.splitlines()
