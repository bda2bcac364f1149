"""The command line: `biometrics`, one small module for each command group.

Exit codes: see `biometrics.cli.exits`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, Never

if TYPE_CHECKING:
    from collections.abc import Sequence

# gRPC reads this when it is imported, and logs failed handshakes to stderr: a client's
# error says the same in words, and is to be all that a program reads there. The log of
# a server keeps them.
if "serve" not in sys.argv:
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

__all__ = ["main"]

_INTERRUPTED: Final = 130  # as shells tell it, and as a command ends that is under way


def main(arguments: Sequence[str] | None = None) -> Never:
    """Run the command line and exit.

    Args:
        arguments: those of the process if None.
    """
    try:
        # Late: it takes a second, in which somebody may think better of it.
        from biometrics.cli.app import main as run  # noqa: PLC0415
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
    run(arguments)
