"""The command line: `biometrics`, one small module for each command group.

Exit codes: see `biometrics.cli.exits`.
"""

from biometrics.cli.app import main

__all__ = ["main"]
