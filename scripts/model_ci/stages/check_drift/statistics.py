"""How far apart two distributions are, and how surely they are not one: from counts alone, without scipy."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from model_ci.types import Array


_EXPECTED: Final = 5.0  # rows in a cell, below which the chi-square distribution does not hold


def wasserstein(one: "Array", other: "Array", places: "Array") -> float:
    """Return the work of moving one distribution to the other: shares, at ascending places."""
    import numpy as np

    apart = np.cumsum(one - other)[:-1]
    return float(np.abs(apart) @ np.diff(places))


def kolmogorov(one: "Array", other: "Array") -> float:
    """Return the largest difference of the cumulated shares."""
    import numpy as np

    return float(np.abs(np.cumsum(one - other)).max())


def total_variation(one: "Array", other: "Array") -> float:
    """Return the share of the rows that would have to change."""
    import numpy as np

    return float(np.abs(one - other).sum() / 2)


def jensen_shannon(one: "Array", other: "Array") -> float:
    """Return the Jensen-Shannon distance, the root of the divergence, to the base e: 0 to 0.8326."""
    import numpy as np

    middle = (one + other) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(x > 0, x * np.log(x / middle), 0.0).sum() for x in (one, other)]
    return math.sqrt(max(float(sum(parts)), 0.0) / 2)


def psi(reference: "Array", window: "Array") -> float:
    """Return the population stability index of shares none of which is nothing."""
    import numpy as np

    return float(((reference - window) * np.log(reference / window)).sum())


def cramer(statistic: float, rows: float, shortest: int) -> float:
    """Return Cramer's V, the size of an association: 0 to 1."""
    return math.sqrt(statistic / (rows * max(shortest - 1, 1))) if rows else 0.0


def chi_square(one: "Array", other: "Array") -> tuple[float, int]:
    """Return Pearson's statistic of two rows of counts being of one distribution, and its degrees of freedom.

    Cells that expect less than five rows are put together, the rarest first, so that the distribution holds.
    """
    import numpy as np

    total = one + other
    keep = total > 0
    one, other, total = one[keep], other[keep], total[keep]
    smaller = min(one.sum(), other.sum()) / max(total.sum(), 1e-300)
    ranked = np.argsort(total, kind="stable")
    cells, held = _pooled(total[ranked] * smaller)
    if cells < 2:
        return 0.0, 0
    pairs = [np.bincount(held, weights=x[ranked], minlength=cells) for x in (one, other)]
    both, rows = pairs[0] + pairs[1], [float(p.sum()) for p in pairs]
    statistic = 0.0
    for counts, n in zip(pairs, rows, strict=True):
        expected = both * n / sum(rows)
        statistic += float(((counts - expected) ** 2 / expected).sum())
    return statistic, cells - 1


def two_shares(one: float, of_one: float, other: float, of_other: float) -> float:
    """Return the p-value of two shares being equal: chi-square with Yates's correction, which errs towards equality."""
    total, rows = one + other, of_one + of_other
    if not 0 < total < rows or not of_one or not of_other:
        return 1.0
    apart = abs(one * (of_other - other) - other * (of_one - one)) - rows / 2
    if apart <= 0:
        return 1.0
    statistic = rows * apart**2 / (of_one * of_other * total * (rows - total))
    if min(of_one, of_other) * min(total, rows - total) / rows < 1:
        return 1.0  # too few are expected for the distribution to hold
    return chi_square_tail(statistic, 1)


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Return the probability of more than `statistic`; the finite sums for whole degrees of freedom (Abramowitz 26.4.4-5)."""
    if freedom < 1 or statistic <= 0:
        return 1.0
    half = statistic / 2
    if freedom > 300:  # Wilson and Hilferty
        deviation = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
        return 0.5 * math.erfc(deviation / math.sqrt(2))
    start = 0.0 if freedom % 2 == 0 else 0.5
    tail = 0.0 if freedom % 2 == 0 else math.erfc(math.sqrt(half))
    for i in range(freedom // 2):
        power = i + start
        tail += math.exp(power * math.log(half) - half - math.lgamma(power + 1))
    return min(tail, 1.0)


def kolmogorov_tail(distance: float, one: float, other: float) -> float:
    """Return the asymptotic p-value of a distance between samples of so many rows; it errs towards equality in small ones."""
    if not one or not other:
        return 1.0
    x = distance * math.sqrt(one * other / (one + other))
    if x < 0.3:
        return 1.0
    if x < 1:
        parts = (math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8 * x * x)) for k in range(1, 6))
        return 1 - math.sqrt(2 * math.pi) / x * sum(parts)
    return min(2 * sum((1 if k % 2 else -1) * math.exp(-2 * k * k * x * x) for k in range(1, 20)), 1.0)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Return Benjamini and Hochberg's adjusted p-values: those below a level hold a false share below that level."""
    ranked = sorted(range(len(p_values)), key=lambda i: -p_values[i])
    corrected, least = [1.0] * len(p_values), 1.0
    for rank, i in enumerate(ranked):
        least = min(least, p_values[i] * len(p_values) / (len(p_values) - rank))
        corrected[i] = least
    return corrected


def _pooled(expected: "Array") -> "tuple[int, Array]":
    """Number the cells so that each expects enough; they come rarest first."""
    import numpy as np

    numbers, cell, held = np.zeros(len(expected), dtype=np.int64), 0, 0.0
    for i, count in enumerate(expected.tolist()):
        numbers[i] = cell
        held += count
        if held >= _EXPECTED:
            cell, held = cell + 1, 0.0
    if held and cell:  # what is left joins the last
        numbers[numbers == cell] = cell - 1
    return (cell or 1), numbers
