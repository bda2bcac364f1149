"""Arrays in, arrays out: the search of galleries, without knowing whose they are.

An engine knows no member, no key and no call. Galleries are told apart by a
hashable name that the caller chooses.
"""

from matcher.engine.engine import MOST_REMOVED, Engine
from matcher.engine.probes import Asked, Coding, Probes
from matcher.engine.segment import Segment, layout

__all__ = ["MOST_REMOVED", "Asked", "Coding", "Engine", "Probes", "Segment", "layout"]
