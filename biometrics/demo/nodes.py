"""A Ray cluster of processes on this machine, and a pilot's galleries in its shards."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.errors import ConfigurationError
from biometrics.files import cause_of, create_file
from biometrics.server.site import prepare_ray, refuse_without_ray
from matcher.joining import refuse_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TOKEN_BYTES: Final = 32
_MB: Final = 1 << 20
_TEMPLATE_BYTES: Final = 512  # codes, and as much again while segments are joined


@contextmanager
def ray_nodes(
    count: int, *, memory_bytes: int, cores: int, token: Path | None = None
) -> Iterator[str]:
    """Run so many nodes until the block ends; yield the address of their head.

    They answer on the loopback interface alone, to whoever shows the token that this
    process has in its environment from here on, as those have that it starts.

    Args:
        count: of nodes.
        memory_bytes: that each offers to shards.
        cores: likewise: they are counted, and may be more than there are.
        token: file that has it, which is made if it is not there; without one nobody
            else knows it.

    Raises:
        ConfigurationError: Ray is not installed, or the file cannot be written.
    """
    refuse_without_ray()
    if token is None:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(_TOKEN_BYTES)
    else:
        _make_token(token)
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token.resolve())
    os.environ["RAY_AUTH_MODE"] = "token"
    prepare_ray("127.0.0.1:0")
    # Late: an extra, which reads the environment when it is imported.
    from matcher import trial  # noqa: PLC0415

    with trial.Nodes(count, memory_bytes=memory_bytes, cores=cores) as nodes:
        yield nodes.address


@contextmanager
def in_shards(settings: Path, shards: int, *, records: int) -> Iterator[None]:
    """Have an exchange's galleries in so many shards, each with a node of its own.

    Args:
        settings: of an exchange that is not served yet; what is to be added is.
        shards: how many.
        records: that all of them will have together.

    Raises:
        ConfigurationError: Ray is not installed.
    """
    megabytes = limits.MIN_SHARD_MEGABYTES + records * _TEMPLATE_BYTES // shards // _MB
    with ray_nodes(shards, memory_bytes=megabytes * _MB, cores=1) as address:
        with settings.open("a", encoding="utf-8") as file:
            file.write(
                f'\n[matcher]\nengine = "ray"\naddress = "{address}"\n'
                f"shards = {shards}\nshard_mb = {megabytes}\n"
            )
        yield


def _make_token(path: Path) -> None:
    """Write a token for its owner alone, unless there is one.

    Raises:
        ConfigurationError: it cannot be written, or what is there is none.
    """
    try:
        create_file(path, secrets.token_hex(_TOKEN_BYTES).encode())
    except FileExistsError:
        refuse_token(path, is_own=True)
    except OSError as error:
        raise ConfigurationError(
            "CANNOT_WRITE", f"`{path}` cannot be written: {cause_of(error)}"
        ) from error
