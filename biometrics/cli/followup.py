"""`biometrics followup`: what becomes of the reference that a match gave."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from biometrics import limits
from biometrics.cli.new_file import check_new, write_new_file
from biometrics.cli.output import print_json, print_line, print_note, print_table
from biometrics.cli.session import JsonOption, ProfileOption, connect, load_profile
from biometrics.client import ExchangeClient, FollowUpTicket, ReceivedFollowUp
from biometrics.client.channel import prepare_channel
from biometrics.errors import (
    ConfigurationError,
    ExchangeError,
    ExhaustedError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
)
from biometrics.members import Member
from biometrics.settings import read_bytes
from biometrics.signing import Signers, read_signers, read_signing_key
from biometrics.signing.files import create_secret_file, read_secret_file

app = typer.Typer(
    help="Follow a match up: ask its holder, answer, read.", no_args_is_help=True
)

IdArgument = Annotated[
    str,
    typer.Argument(
        help="What `list` names it by; its first digits do.", metavar="FOLLOW-UP"
    ),
]
KeyOption = Annotated[
    Path,
    typer.Option(
        "--key",
        help="Your signing key, as `agreements key` made it.",
        metavar="FILE",
    ),
]
SignersOption = Annotated[
    Path,
    typer.Option(
        "--signers",
        help="Your own copy of the list of signers: by it the other member is known."
        " Not the exchange's: whoever can change that one could stand between.",
        metavar="FILE",
    ),
]


@app.callback()
def group() -> None:
    """Follow a match up: ask its holder, answer, read."""


@app.command()
def request(  # noqa: PLR0913 - all that is signed
    context: typer.Context,
    reference: Annotated[
        str, typer.Argument(help="As `match` printed it.", metavar="REFERENCE")
    ],
    *,
    holder: Annotated[str, typer.Option(help="Who gave it.", metavar="CODE")],
    purpose: Annotated[
        str,
        typer.Option(help="Why was searched, such as border-check.", metavar="WORD"),
    ],
    modality: Annotated[
        str, typer.Option(help="By what was searched, such as face.", metavar="WORD")
    ],
    basis: Annotated[
        str,
        typer.Option(
            help="The legal basis: an article. The exchange reads it too, so it names"
            " no person.",
            metavar="TEXT",
        ),
    ],
    key: KeyOption,
    ticket: Annotated[
        Path,
        typer.Option(
            "--ticket",
            help="New file for what alone opens the answer; keep it secret.",
            metavar="FILE",
        ),
    ],
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Ask the holder of a reference about the person, once: it is used up by this.

    A person there looks at the record, and confirms or refuses within 48 hours. What is
    given can be read once, with the ticket, until then. Takes a client's certificate.

    A reference is refused in the same words whether it was never given to you, has
    ended, was used, or stands for somebody of whom you may not learn any more.
    """
    own = prepare_channel(load_profile(context, profile)).peers.member
    made = FollowUpTicket.make(
        requester=Member(own),
        holder=Member(holder),
        reference=_read_reference(reference),
        purpose=purpose,
        modality=modality,
        basis=basis,
        key=read_signing_key(key),
        random_bytes=secrets.token_bytes,
    )
    # First, or a stop here would leave an answer that nobody opens.
    create_secret_file(ticket, made.text)
    try:
        with connect(context, profile) as exchange:
            ends_at = exchange.request_follow_up(made)
    except (NotFoundError, InvalidRequestError, RefusedError, ExhaustedError):
        ticket.unlink()  # there is nothing that it would open
        raise
    except ExchangeError:
        print_note(f"it may have been asked: `followup read {ticket}` would tell")
        raise
    named = made.signed.request.follow_up_id.hex()
    if as_json:
        print_json({"follow_up": named, "expires_at": ends_at})
        return
    print_line(f"asked {holder}; follow-up {named}")
    print_line(
        f"next, by {ends_at:%Y-%m-%d %H:%M} UTC, once it is given: biometrics followup"
        f" read {ticket}"
    )


@app.command("list")
def list_follow_ups(
    context: typer.Context,
    *,
    received: Annotated[
        bool,
        typer.Option(
            "--received",
            help="Those that wait for you, with your own references of the records.",
        ),
    ] = False,
    signers: Annotated[
        Path | None,
        typer.Option(
            "--signers",
            help="With `--received`: your own copy of the list of signers, which tells"
            " who has signed.",
            metavar="FILE",
        ),
    ] = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """List the follow-ups that you asked for, or with `--received` those to answer.

    Those that you asked for take a client's certificate; they are `requested` until
    they are over. Those to answer take an officer's, or that of the system that enrols.
    """
    if received:
        listed = None if signers is None else read_signers(signers)
        with connect(context, profile) as exchange:
            found = exchange.received_follow_ups()
        _show_received(found, listed, as_json=as_json)
        return
    with connect(context, profile) as exchange:
        asked = exchange.requested_follow_ups()
    if as_json:
        print_json(
            {
                "follow_ups": [
                    {
                        "follow_up": each.follow_up_id,
                        "holder": each.holder,
                        "state": each.state,
                        "refusal": each.refusal,
                        "requested_at": each.requested_at,
                    }
                    for each in asked
                ]
            }
        )
        return
    print_table(
        ("follow-up", "holder", "requested", "state", "refused for"),
        [
            (
                each.follow_up_id[:_SHOWN],
                each.holder,
                f"{each.requested_at:%Y-%m-%d %H:%M}",
                each.state,
                each.refusal or "-",
            )
            for each in asked
        ],
    )


@app.command()
def confirm(
    context: typer.Context,
    follow_up: IdArgument,
    *,
    key: KeyOption,
    signers: SignersOption,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Confirm a follow-up, once you have looked at the record that it is about.

    `list --received` tells its reference, and who asks for what. Refused unless the
    requester's own signer has signed that. The payload is given by another person, with
    `release`. Takes an officer's certificate.
    """
    listed, signing = read_signers(signers), read_signing_key(key)
    with connect(context, profile) as exchange:
        found = _named(exchange, follow_up)
        ends_at = exchange.confirm_follow_up(found, key=signing, signers=listed)
    if as_json:
        print_json({"follow_up": found.follow_up_id, "expires_at": ends_at})
        return
    print_line(f"confirmed {found.follow_up_id}")
    print_line(
        f"next, by {ends_at:%Y-%m-%d %H:%M} UTC, another person: biometrics followup"
        f" release {found.follow_up_id[:_SHOWN]} FILE"
    )


@app.command()
def refuse(
    context: typer.Context,
    follow_up: IdArgument,
    *,
    reason: Annotated[
        str,
        typer.Option(
            help="basis-insufficient, purpose-not-covered, request-not-proven,"
            " match-not-upheld, nothing-to-give or other. The requester is told it.",
            metavar="WORD",
        ),
    ],
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Refuse a follow-up that is not read yet. Takes an officer's certificate."""
    with connect(context, profile) as exchange:
        found = _named(exchange, follow_up)
        exchange.refuse_follow_up(found.follow_up_id, reason)
    if as_json:
        print_json({"follow_up": found.follow_up_id, "refused": reason})
        return
    print_line(f"refused {found.follow_up_id}: {reason}")


@app.command()
def release(  # noqa: PLR0913 - who gives what
    context: typer.Context,
    follow_up: IdArgument,
    payload: Annotated[
        Path,
        typer.Argument(
            help=f"What is given: a file of at most {limits.MAX_FOLLOW_UP_BYTES:,}"
            " bytes.",
            metavar="FILE",
        ),
    ],
    *,
    key: KeyOption,
    signers: SignersOption,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Give the payload of a follow-up that another person has confirmed.

    It is signed, filled up to one size and sealed here, to the requester alone; the
    exchange sees neither content nor size. Takes the certificate of the system that
    enrols, and the key of another signer than has confirmed.
    """
    listed, signing = read_signers(signers), read_signing_key(key)
    content = read_bytes(payload)
    with connect(context, profile) as exchange:
        found = _named(exchange, follow_up)
        ends_at = exchange.release_follow_up(
            found, content, key=signing, signers=listed
        )
    if as_json:
        print_json({"follow_up": found.follow_up_id, "expires_at": ends_at})
        return
    print_line(f"released {found.follow_up_id}")
    print_line(f"to be read once, by {ends_at:%Y-%m-%d %H:%M} UTC")


@app.command()
def read(
    context: typer.Context,
    ticket: Annotated[
        Path, typer.Argument(help="As `request` wrote it.", metavar="TICKET")
    ],
    *,
    signers: SignersOption,
    to: Annotated[
        Path,
        typer.Option("--to", help="New file for what was given.", metavar="FILE"),
    ],
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Read what the holder gave, once, and open it with the ticket.

    Two persons whom your own list of signers has for the holder must have signed it.
    What was read and does not open stays beside the ticket, to be opened by the same
    command once you have their list. Takes a client's certificate.
    """
    check_new(to, "what was given", "--to")
    listed = read_signers(signers)
    held = _read_ticket(ticket)
    kept = ticket.with_name(f"{ticket.name}.sealed")
    if not kept.exists():
        with connect(context, profile) as exchange:
            sealed = exchange.read_follow_up(held)
        create_secret_file(kept, sealed.hex())
    try:
        found = held.open(bytes.fromhex(read_secret_file(kept)), listed)
    except ExchangeError:
        print_note(f"what was read is kept in {kept}")
        raise
    write_new_file(to, found.content)
    kept.unlink()
    if as_json:
        print_json(
            {
                "file": str(to),
                "confirmed_by": found.confirmed_by,
                "released_by": found.released_by,
            }
        )
        return
    print_line(f"written to {to}: {len(found.content):,} bytes")
    print_line(f"confirmed by {found.confirmed_by}, given by {found.released_by}")
    print_line(f"next: delete {ticket}, which opens what was recorded on the way")


_SHOWN = 16  # digits that tell follow-ups apart


def _show_received(
    found: tuple[ReceivedFollowUp, ...], listed: Signers | None, *, as_json: bool
) -> None:
    """Print what waits for an officer."""
    shown = [(each, each.signed.request, _signed_by(each, listed)) for each in found]
    if as_json:
        print_json(
            {
                "follow_ups": [
                    {
                        "follow_up": each.follow_up_id,
                        "requester": asked.requester.code,
                        "purpose": asked.purpose,
                        "modality": asked.modality,
                        "basis": asked.basis,
                        "signed_by": signed_by,
                        "state": each.state,
                        "references": each.references,
                        "record_count": each.record_count,
                        "requested_at": each.requested_at,
                        "expires_at": each.expires_at,
                    }
                    for each, asked, signed_by in shown
                ]
            }
        )
        return
    print_table(
        ("follow-up", "requester", "purpose", "basis", "signed by", "state", "records"),
        [
            (
                each.follow_up_id[:_SHOWN],
                asked.requester,
                asked.purpose,
                asked.basis,
                signed_by,
                f"{each.state} until {each.expires_at:%Y-%m-%d %H:%M}",
                list(each.references),
            )
            for each, asked, signed_by in shown
        ],
        texts=("basis", "signed by", "records"),
    )


def _signed_by(each: ReceivedFollowUp, listed: Signers | None) -> str:
    """Return who has signed a request, as far as a list tells."""
    if listed is None:
        return "(not checked)"
    try:
        return each.signed.signer(listed).name
    except ExchangeError:
        return "NOBODY WHO IS LISTED"


def _named(exchange: ExchangeClient, start: str) -> ReceivedFollowUp:
    """Return the one follow-up that waits and whose id begins so.

    Raises:
        NotFoundError: there is none, or there are several.
    """
    waiting = exchange.received_follow_ups()
    found = [each for each in waiting if each.follow_up_id.startswith(start.lower())]
    if len(found) == 1 and start:
        return found[0]
    told = (
        "several follow-ups begin so; give more digits"
        if found
        else "no follow-up that waits for you begins so"
    )
    raise NotFoundError(
        "NO_SUCH_FOLLOW_UP",
        f"`{start[:64]}`: {told}; `biometrics followup list --received` shows them",
    )


def _read_reference(text: str) -> bytes:
    """Return the bytes of a reference."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""  # which is refused as one of a wrong size


def _read_ticket(path: Path) -> FollowUpTicket:
    """Return the ticket in a file.

    Raises:
        ConfigurationError: there is none in it, or others can read it.
    """
    try:
        return FollowUpTicket.parse(read_secret_file(path))
    except InvalidRequestError as error:
        raise ConfigurationError(error.reason, f"`{path}` {error.message}") from error
