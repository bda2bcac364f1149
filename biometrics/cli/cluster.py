"""`biometrics cluster`: a Ray cluster on this machine, for trying shards."""

import os
import secrets
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from biometrics import limits
from biometrics.cli.output import print_line
from biometrics.errors import ConfigurationError
from biometrics.files import cause_of, create_file

app = typer.Typer(help="Shards on a Ray cluster; see matcher/README.md.")

_TOKEN_BYTES = 32


@app.command()
def up(
    *,
    nodes: Annotated[
        int, typer.Option(help="How many.", min=1, max=limits.MAX_TRIAL_NODES)
    ] = 3,
    node_mb: Annotated[
        int,
        typer.Option(
            "--node-mb",
            help="Memory that each offers to shards.",
            min=limits.MIN_SHARD_MEGABYTES,
        ),
    ] = 1024,
    token: Annotated[
        Path,
        typer.Option(
            help="File of the token that callers show; made if it is not there.",
            metavar="FILE",
        ),
    ] = Path("ray.token"),
) -> None:
    """Run a Ray cluster on this machine until SIGTERM or Ctrl-C.

    Its nodes are processes that answer on the loopback interface alone, to whoever has
    the token. It says what an exchange needs to have its galleries there.
    """
    # Late: an extra.
    from biometrics.server.site import prepare_ray, refuse_without_ray  # noqa: PLC0415

    refuse_without_ray()
    _make_token(token)
    os.environ |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token.resolve()),
    }
    prepare_ray("127.0.0.1:0")
    from matcher import trial  # noqa: PLC0415

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    memory_bytes = node_mb << 20
    with trial.Nodes(nodes, memory_bytes=memory_bytes, cores=nodes) as started:
        for line in (
            f"ready: {nodes} nodes. In `exchange.toml`:",
            "",
            "[matcher]",
            'engine = "ray"',
            f'address = "{started.address}"',
            f"shards = {nodes}",
            f"shard_mb = {limits.MIN_SHARD_MEGABYTES}",
            "",
            "and where `biometrics serve` runs:",
            "",
            f"export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={token.resolve()}",
        ):
            print_line(line)
        stopping.wait()


def _make_token(path: Path) -> None:
    """Write a token for its owner alone, unless there is one.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        create_file(path, secrets.token_hex(_TOKEN_BYTES).encode())
    except FileExistsError:
        return
    except OSError as error:
        raise ConfigurationError(
            "CANNOT_WRITE", f"`{path}` cannot be written: {cause_of(error)}"
        ) from error
