"""The gap between slices: the greatest difference between two, and whether chance explains that it is so large."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from model_ci.gates.comparison import FEWEST, normal_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The greatest difference between two slices, which they are, its bounds, and the p-value of "none is greater than
    the limit".
    """

    value: float
    low: int
    high: int
    interval: tuple[float, float] | None
    chance: float | None


def widest(values: "NDArray[Any]", drawn: "NDArray[Any]", limit: float, confidence: float) -> Gap:
    """Return the gap of values (slices,) that were resampled as `drawn` (resamples, slices).

    The greatest of many differences is great by chance alone, so every pair is tested, and the p-value is for all
    of them (Bonferroni). The bounds are those of the difference between the two slices that are named.
    """
    import numpy as np

    low, high = int(values.argmin()), int(values.argmax())
    gap = Gap(value=float(values[high] - values[low]), low=low, high=high, interval=None, chance=None)
    usable = np.isfinite(drawn).all(axis=1)
    if len(values) < 2 or usable.mean() < FEWEST:
        return gap
    drawn = drawn[usable]
    between = np.quantile(drawn[:, high] - drawn[:, low], [1 - confidence, confidence])
    interval = (float(between[0]), float(between[1]))
    return replace(gap, interval=interval, chance=_chance(values, drawn, limit))


def _chance(values: "NDArray[Any]", drawn: "NDArray[Any]", limit: float) -> float:
    import numpy as np

    covariance = np.cov(drawn, rowvar=False)
    variances = np.diag(covariance)
    pairs = np.argwhere(values[:, None] - values[None, :] > limit)
    chances = [
        normal_tail(values[i] - values[j] - limit, max(variances[i] + variances[j] - 2 * covariance[i, j], 0) ** 0.5)
        for i, j in pairs
    ]
    many = len(values) * (len(values) - 1)  # either of a pair may be the lower one
    return min(1.0, many * min(chances, default=1.0))
