"""The gap between slices: the greatest difference between two, and whether chance explains that it is so large."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from model_ci.frozen import dataclass
from model_ci.gates.comparison import FEWEST, Difference, narrowed, normal_tail

if TYPE_CHECKING:
    from model_ci.types import Array


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


def widest(values: "Array", drawn: "Array", units: Sequence[int], limit: float, confidence: float) -> Gap:
    """Return the gap of values (slices,) that were resampled as `drawn` (resamples, slices), each from so many `units`.

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
    between = Difference(
        value=gap.value, resampled=drawn[:, high] - drawn[:, low], drawn_from=min(units[low], units[high])
    )
    return replace(gap, interval=between.interval(confidence), chance=_chance(values, drawn, units, limit))


def _chance(values: "Array", drawn: "Array", units: Sequence[int], limit: float) -> float:
    import numpy as np

    covariance = np.cov(drawn, rowvar=False)

    def of_pair(i: int, j: int) -> float:
        spread = max(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j], 0) ** 0.5
        return narrowed(normal_tail(values[i] - values[j] - limit, spread), min(units[i], units[j]))

    chances = [of_pair(i, j) for i, j in np.argwhere(values[:, None] - values[None, :] > limit)]
    many = len(values) * (len(values) - 1)  # either of a pair may be the lower one
    return min(1.0, many * min(chances, default=1.0))
