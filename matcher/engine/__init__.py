"""Arrays in, arrays out: the search of one gallery, without knowing whose it is.

An engine knows no member, no key and no call. Galleries are told apart by a
hashable name that the caller chooses.
"""

from matcher.engine.exhaustive import ExhaustiveEngine
from matcher.engine.port import Engine

__all__ = ["Engine", "ExhaustiveEngine"]
