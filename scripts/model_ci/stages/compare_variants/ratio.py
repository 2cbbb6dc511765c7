"""Whether the variants got the shares of the units that they were meant to get; if not, something is wrong with the test.

Lindon and Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022: the odds of any other shares, under a
Dirichlet prior about the meant ones, against the meant ones; they exceed 1/level by chance at most with that level, over
all looks.
"""

from typing import TYPE_CHECKING, Final

from model_ci.frozen import dataclass

if TYPE_CHECKING:
    from model_ci.types import Array

# How many units the prior weighs: sharp against small deviations, as real mismatches are.
_CONCENTRATION: Final = 100.0


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """The treatment's share of the units, meant and observed, and the p-value that holds at every look."""

    expected: float
    observed: float
    p_value: float


def check(treated: "Array", expected: float) -> Ratio:
    """Check the units in the order of their arrival; `treated` tells those of the treatment, `expected` their share."""
    observed = float(treated.mean()) if len(treated) else expected
    return Ratio(
        expected=expected, observed=observed, p_value=float(p_values(treated, expected)[-1]) if len(treated) else 1.0
    )


def p_values(treated: "Array", expected: float) -> "Array":
    """Return the p-value after each unit; it never rises."""
    import numpy as np
    from scipy.special import gammaln

    many = np.arange(1, len(treated) + 1)
    hits = np.cumsum(treated)
    a, b = _CONCENTRATION * expected, _CONCENTRATION * (1 - expected)
    odds = gammaln(a + hits) - gammaln(a) + gammaln(b + many - hits) - gammaln(b)
    odds += gammaln(a + b) - gammaln(a + b + many)
    odds -= hits * np.log(expected) + (many - hits) * np.log1p(-expected)
    return np.exp(-np.maximum(np.maximum.accumulate(odds), 0))
