"""`biometrics pki`: certificates to try the exchange with, and no others."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from biometrics.callers import Caller, Role
from biometrics.cli.output import print_line, print_note
from biometrics.cli.session import ConfigOption
from biometrics.clock import SystemClock
from biometrics.members import Member

app = typer.Typer(
    help="DEVELOPMENT ONLY: certificates of the authority that `init` made.",
    no_args_is_help=True,
)

_WARNING = "development only: whoever reads this folder can be any member"


@app.callback()
def group() -> None:
    """DEVELOPMENT ONLY: certificates of the authority that `init` made.

    It signs for localhost and 30 days, and its key lies in the clear. A running
    exchange takes up what changes within seconds. An exchange that members rely on gets
    its certificates elsewhere: see the page of the server, Certificates.
    """


@app.command("issue")
def issue(
    config: ConfigOption,
    *,
    member: Annotated[str, typer.Option(help="Code, such as `XAA`.", metavar="CODE")],
    role: Annotated[Role, typer.Option(help="What the certificate is for.")],
    name: Annotated[
        str | None,
        typer.Option(help="Of the system; by default `ROLE-1`.", metavar="NAME"),
    ] = None,
) -> None:
    """Sign a certificate for one more system of a member's, and write its profile."""
    # Late, with the server: clients need not wait for it.
    from biometrics.server.development_pki import (  # noqa: PLC0415
        DevelopmentPki,
        target_of,
    )

    pki, settings = DevelopmentPki.of(
        config, clock=SystemClock(), random_bytes=secrets.token_bytes
    )
    caller = Caller(member=Member(member), role=role, name=name or f"{role}-1")
    print_note(_WARNING)
    own = settings.admin_listen if role is Role.ADMINISTRATOR else None
    listen = own or settings.listen
    print_line(f"written to {pki.issue(caller, target_of(listen))}")


@app.command("browser")
def browser(
    config: ConfigOption,
    certificate: Annotated[
        Path,
        typer.Argument(help="What a browser is to show.", metavar="FILE.pem"),
    ],
) -> None:
    """Write a certificate and its key for a browser, and print the password of that.

    The file is PKCS #12: import it into the browser, with the password, and delete it.
    `biometrics console` then shows what its owner may know.
    """
    from biometrics.server.development_pki import DevelopmentPki  # noqa: PLC0415

    pki, _ = DevelopmentPki.of(
        config, clock=SystemClock(), random_bytes=secrets.token_bytes
    )
    print_note(_WARNING)
    path, password = pki.bundle(certificate)
    print_line(f"written to {path}, password {password}")


@app.command("revoke")
def revoke(
    config: ConfigOption,
    certificate: Annotated[
        Path, typer.Argument(help="What is taken back.", metavar="FILE.pem")
    ],
) -> None:
    """Take a certificate back: its next call is refused."""
    from biometrics.server.development_pki import DevelopmentPki  # noqa: PLC0415

    pki, settings = DevelopmentPki.of(
        config, clock=SystemClock(), random_bytes=secrets.token_bytes
    )
    number = pki.revoke(certificate)
    if settings.tls_revoked is None:
        print_note(
            'warning: the exchange asks for no list: add `revoked = "pki/revoked.pem"`'
            f" to [tls] in {config}, and start it again"
        )
    print_line(f"revoked {certificate}, number {number:x}")


@app.command("renew")
def renew(config: ConfigOption) -> None:
    """Make a new authority, which signs all that is good anew, for 30 days.

    Certificates of the one before are believed until that one ends; the server's new
    one needs clients that read the new `authority.pem`.
    """
    from biometrics.server.development_pki import DevelopmentPki  # noqa: PLC0415

    pki, _ = DevelopmentPki.of(
        config, clock=SystemClock(), random_bytes=secrets.token_bytes
    )
    print_note(_WARNING)
    for name in pki.renew():
        print_line(f"renewed {name}")
