"""The command line: `biometrics`, one small module for each command group.

Exit codes: see `biometrics.cli.exits`.
"""

import os
import sys

# gRPC reads this when it is imported, and logs failed handshakes to stderr: a client's
# error says the same in words, and is to be all that a program reads there. The log of
# a server keeps them.
if "serve" not in sys.argv:
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from biometrics.cli.app import main

__all__ = ["main"]
