"""The conformance run: whether a member's own systems are fit to take part."""

from biometrics.conformance.run import Asked, run
from biometrics.conformance.sheet import Result, State

__all__ = ["Asked", "Result", "State", "run"]
