"""The gap between slices: the greatest difference between two, and whether chance explains that it is so large."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from model_ci.frozen import dataclass
from model_ci.gates.comparison import FEWEST
from model_ci.gates.estimate import Difference, narrowed, normal_tail

if TYPE_CHECKING:
    from model_ci.types import Array


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The greatest difference between two slices, which they are, its bounds, and the p-value of "none is greater than
    the limit".

    `chance_beyond` is the p-value of "one is greater than the limit": it is that of the pair of which this is least unlikely.
    """

    value: float
    low: int
    high: int
    interval: tuple[float, float] | None
    chance: float | None
    chance_beyond: float | None = None


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
    return replace(
        gap,
        interval=between.interval(confidence),
        chance=_chance(values, drawn, units, limit),
        chance_beyond=_chance_beyond(values, drawn, units, limit),
    )


def _chance_beyond(values: "Array", drawn: "Array", units: Sequence[int], limit: float) -> float:
    """Every pair must be shown to keep the limit, which needs no correction (Berger 1982)."""
    import numpy as np

    spread = np.sqrt(np.maximum(_variances(drawn), 0))
    pairs = [(i, j) for i in range(len(values)) for j in range(len(values)) if i != j]

    def of_pair(i: int, j: int) -> float:
        if not spread[i, j]:  # no resample shows how far apart they may be
            return 1.0
        distance = limit - float(values[i] - values[j])
        return narrowed(normal_tail(distance, float(spread[i, j])), min(units[i], units[j]))

    return max(of_pair(i, j) for i, j in pairs)


def _variances(drawn: "Array") -> "Array":
    """Return the variance of the difference of each pair of slices."""
    import numpy as np

    covariance = np.cov(drawn, rowvar=False)
    own = covariance.diagonal()
    return own[:, None] + own[None, :] - 2 * covariance  # type: ignore[no-any-return]


def _chance(values: "Array", drawn: "Array", units: Sequence[int], limit: float) -> float:
    import numpy as np

    variances = _variances(drawn)

    def of_pair(i: int, j: int) -> float:
        spread = max(float(variances[i, j]), 0.0) ** 0.5
        return narrowed(normal_tail(values[i] - values[j] - limit, spread), min(units[i], units[j]))

    chances = [of_pair(i, j) for i, j in np.argwhere(values[:, None] - values[None, :] > limit)]
    many = len(values) * (len(values) - 1)  # either of a pair may be the lower one
    return min(1.0, many * min(chances, default=1.0))
