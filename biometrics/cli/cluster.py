"""`biometrics cluster`: a Ray cluster on this machine, for trying shards."""

import signal
import time
from pathlib import Path
from shlex import quote
from typing import Annotated, Final

import typer

from biometrics import limits
from biometrics.cli.output import print_line

_LOOK_SECONDS: Final = 0.2

app = typer.Typer(help="Shards on a Ray cluster; see matcher/README.md.")


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
    from biometrics.demo.nodes import ray_nodes  # noqa: PLC0415 - it takes a while

    told: list[int] = []  # an event is locked, and a second signal would wait for it
    memory_bytes = node_mb << 20
    path = quote(str(token.resolve()))
    with ray_nodes(
        nodes, memory_bytes=memory_bytes, cores=nodes, token=token
    ) as address:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: told.append(number))
        for line in (
            f"ready: {nodes} node{'s' * (nodes > 1)}. In `exchange.toml`:",
            "",
            "[matcher]",
            'engine = "ray"',
            f'address = "{address}"',
            f"shards = {nodes}",
            f"shard_mb = {limits.MIN_SHARD_MEGABYTES}",
            "",
            "and where `biometrics serve` runs:",
            "",
            f"export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={path}",
        ):
            print_line(line)
        while not told:
            time.sleep(_LOOK_SECONDS)
