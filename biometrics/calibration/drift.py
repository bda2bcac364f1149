"""Whether searches of nobody match more often than a calibration promises.

Page's test (Biometrika 41, 1954) on the likelihood ratio of two rates: what is
promised, and `limits.DRIFT_TIMES` as much. The evidence begins anew whenever it falls
below that of no search at all, so that a drift is found however long all was well.
Where the promise is kept, it is said to be broken once in `limits.DRIFT_SEARCHES`
searches on average, or less often (Lorden, Annals of Mathematical Statistics 42, 1971).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from biometrics import limits


@dataclass(slots=True)
class Drift:
    """What is known of one template space.

    Attributes:
        promised: most that the rate of searches may be that match; in (0, 0.25).
        searches: that were made.
        matches: of them, that matched somebody.
        is_found: whether they match more often than promised; for ever, for what was
            found is seen to by another calibration.
    """

    promised: float
    searches: int = 0
    matches: int = 0
    is_found: bool = False
    _evidence: float = 0.0  # natural logarithm

    def take(self, *, is_match: bool) -> bool:
        """Count a search; say whether a drift is found by it."""
        drifted = limits.DRIFT_TIMES * self.promised
        more = (
            drifted / self.promised if is_match else (1 - drifted) / (1 - self.promised)
        )
        self._evidence = max(self._evidence, 0.0) + math.log(more)
        self.searches += 1
        self.matches += is_match
        was_found = self.is_found
        self.is_found |= self._evidence >= math.log(limits.DRIFT_SEARCHES)
        return self.is_found and not was_found
