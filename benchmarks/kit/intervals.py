"""How far a share of errors that was counted is known."""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["RULE_OF_THREE", "clopper_pearson"]

# With no error in n independent trials the rate is below 3 / n, at 95 %.
RULE_OF_THREE: Final = 3
_HALVINGS: Final = 50
_OUTSIDE: Final = 0.05


def clopper_pearson(errors: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of an error rate (Clopper and Pearson 1934).

    It is exact: it covers the rate at least as often as it says, also where there are
    few errors or none. Trials must be independent; searches by one person are not.

    Args:
        errors: 0 to `trials`.
        trials: at least 1.
    """
    return 1 - _upper(trials - errors, trials), _upper(errors, trials)


def _upper(errors: int, trials: int) -> float:
    """Return the rate at which so few errors are as rare as a side may be."""
    if errors == trials:
        return 1.0
    counts = np.arange(1, errors + 1)
    # Logarithms of the numbers of ways to choose 0, 1, ... of the trials.
    ways = np.concatenate([[0.0], np.cumsum(np.log((trials + 1 - counts) / counts))])
    counts = np.arange(errors + 1)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        rate = (low + high) / 2
        terms = ways + counts * np.log(rate) + (trials - counts) * np.log1p(-rate)
        if np.exp(terms).sum() > _OUTSIDE / 2:
            low = rate
        else:
            high = rate
    return high
