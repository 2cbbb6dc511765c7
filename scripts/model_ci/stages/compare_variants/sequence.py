"""Bounds that hold at every look at once, so that a test may be looked at whenever one likes, and stopped.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (Time-uniform central limit theory
and asymptotic confidence sequences, Annals of Statistics 2024, Theorem 2.2): Robbins' normal mixture, which is also the
mixture sequential probability ratio test of Johari, Koomen, Pekelis and Walsh (Always valid inference, Operations
Research 2022), without their assumption of a known distribution. It needs no bounded metric, and a first look that is
not too early.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_ci.types import Array


def half_width(variance: "float | Array", units: "float | Array", level: float, sharpest: float) -> "Array":
    """Return how far each of the two bounds lies from the estimate.

    `variance` is the estimate's own, `units` how many it rests on, `level` the chance that one of the two bounds is ever
    wrong, and `sharpest` the number of units at which the bounds are the closest possible: to be chosen beforehand.
    """
    import numpy as np

    spread = np.asarray(units) * _mixture(level) / sharpest
    return np.sqrt(variance * (1 + 1 / spread) * np.log((1 + spread) / level**2))


@cache
def _mixture(level: float) -> float:
    """Return the mixture's variance, by one unit, that makes the bounds the closest at one unit.

    Howard, Ramdas, McAuliffe and Sekhon, Time-uniform, nonparametric, nonasymptotic confidence sequences, Annals of
    Statistics 2021, Proposition 3.
    """
    import numpy as np
    from scipy.special import lambertw

    return float(-np.real(lambertw(-(level**2) / np.e, k=-1)) - 1)
