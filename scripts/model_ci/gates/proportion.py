"""Shares of rows: how often a model is right, and by how much more often than another on the same rows."""

import math
from typing import Final

from model_ci.frozen import dataclass
from model_ci.gates.estimate import Estimate

_STEPS: Final = 60  # of bisection: to 1e-18


@dataclass(frozen=True, kw_only=True)
class Proportion(Estimate):
    """A share of independent rows: exact for any number of them (Clopper and Pearson 1934)."""

    hits: int
    rows: int

    def interval(self, confidence: float) -> tuple[float, float]:  # noqa: D102
        from scipy.special import betaincinv

        tail, missed = 1 - confidence, self.rows - self.hits
        low = float(betaincinv(self.hits, missed + 1, tail)) if self.hits else 0.0
        high = float(betaincinv(self.hits + 1, missed, confidence)) if missed else 1.0
        return low, high

    def chance_above(self, limit: float, sign: int = 1) -> float:  # noqa: D102
        from scipy.stats import binom

        share = min(max(sign * limit, 0.0), 1.0)
        lower_tail = binom.cdf(self.hits, self.rows, share)
        return float(lower_tail if sign > 0 else binom.sf(self.hits - 1, self.rows, share))

    @property
    def too_few(self) -> bool:
        """Exact bounds hold for any number of rows but none."""
        return not self.rows


@dataclass(frozen=True, kw_only=True)
class PairedProportion(Estimate):
    """The difference of two shares of the same rows, by the score test of each possible difference (Tango 1998).

    `only_mine` rows are hits of the first model alone, `only_theirs` of the second.
    """

    only_mine: int
    only_theirs: int
    rows: int

    def interval(self, confidence: float) -> tuple[float, float]:  # noqa: D102
        from scipy.special import ndtri

        z, share = float(ndtri(confidence)), (self.only_mine - self.only_theirs) / self.rows
        return self._border(-1.0, share, z), self._border(1.0, share, -z)

    def chance_above(self, limit: float, sign: int = 1) -> float:  # noqa: D102
        if abs(limit) >= 1:
            return float(limit <= 0)
        return math.erfc(-sign * self.score(sign * limit) / math.sqrt(2)) / 2

    def score(self, difference: float) -> float:
        """Return by how many standard errors the shares differ more than this, with the error that this difference implies."""
        above, b, c, n = self._distance(difference), self.only_mine, self.only_theirs, self.rows
        linear = -b - c + (2 * n - b + c) * difference
        root = math.sqrt(max(linear**2 + 8 * n * c * difference * (1 - difference), 0.0))
        variance = n * ((root - linear) / (2 * n) + difference * (1 - difference))
        if variance <= 0:
            return 0.0 if above == 0 else math.copysign(math.inf, above)
        return above / math.sqrt(variance)

    def _distance(self, difference: float) -> float:
        return self.only_mine - self.only_theirs - self.rows * difference

    def _border(self, outer: float, inner: float, z: float) -> float:
        """Find the difference between the two whose score is z; the score falls as the difference rises."""
        for _ in range(_STEPS):
            middle = (outer + inner) / 2
            within = abs(self.score(middle)) < abs(z)
            outer, inner = (outer, middle) if within else (middle, inner)
        return outer
