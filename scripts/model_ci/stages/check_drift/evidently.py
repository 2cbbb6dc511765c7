"""What Evidently (0.7) says by default of two raw columns, to the last digits: its choice of method, bins and thresholds."""

from collections import Counter
from typing import TYPE_CHECKING, Final

from model_ci.frozen import dataclass
from model_ci.stages.check_drift import statistics

if TYPE_CHECKING:
    from model_ci.types import Array


SHARE: Final = 0.5  # of the columns, from which on it calls the data set drifted
_TESTS: Final = ("ks", "chi_square", "z")
_SMALL: Final = 1000
_FEW: Final = 5
_BINNED: Final = 20


@dataclass(frozen=True, kw_only=True)
class Score:
    """The score of a column; a p-value for tests, which drifts below the threshold, else a distance, which does above."""

    method: str
    value: float
    threshold: float
    drifted: bool

    @property
    def is_p_value(self) -> bool:
        """Whether the score is one."""
        return self.method in _TESTS


def score(
    reference: "Array", window: "Array", *, numbers: bool, method: str | None = None, threshold: float | None = None
) -> Score:
    """Score a column's values without nulls and infinities: doubles, or strings; raises ValueError when there are none."""
    if not len(reference) or not len(window):
        raise ValueError("there are no values to compare")
    method = method or default(reference, window, numbers=numbers)
    limit = threshold if threshold is not None else 0.05 if method in _TESTS else 0.1
    value = _value(method, reference, window, numbers=numbers)
    drifted = value >= limit if method not in _TESTS else value < limit or (method == "ks" and value == limit)
    return Score(method=method, value=value, threshold=limit, drifted=drifted)


def default(reference: "Array", window: "Array", *, numbers: bool) -> str:
    """Return the method that it chooses: by the reference's rows, and how many values there are."""
    import numpy as np

    # Most columns show in their first rows already that their values are many.
    many = numbers and any(len(np.unique(np.concatenate([reference[:n], window[:n]]))) > _FEW for n in (_SMALL, None))
    if len(reference) > _SMALL:
        return "wasserstein" if many else "jensen_shannon"
    if many:
        return "ks"
    return "chi_square" if len({*reference.tolist(), *window.tolist()}) > 2 else "z"


def _value(method: str, reference: "Array", window: "Array", *, numbers: bool) -> float:
    match method:
        case "wasserstein":
            return _wasserstein(reference, window)
        case "ks":
            from scipy.stats import ks_2samp

            return float(ks_2samp(reference, window).pvalue)
        case "chi_square":
            return _chi_square(reference, window)
        case "z":
            return _z(reference, window)
        case "jensen_shannon":
            one, other = _binned(reference, window, numbers=numbers)
            return statistics.jensen_shannon(one / one.sum(), other / other.sum())
        case _:
            return statistics.psi(*map(_filled, _binned(reference, window, numbers=numbers)))


def _wasserstein(reference: "Array", window: "Array") -> float:
    import numpy as np

    both = np.concatenate([np.sort(reference), np.sort(window)])
    ranked = np.argsort(both, kind="stable")  # which merges what is sorted already
    of_reference = np.cumsum(ranked < len(reference))[:-1]
    of_window = np.arange(1, len(both)) - of_reference
    apart = np.abs(of_reference / len(reference) - of_window / len(window))
    distance = float(apart @ np.diff(both[ranked]))
    return distance / max(float(np.std(reference)), 0.001)


def _chi_square(reference: "Array", window: "Array") -> float:
    """Return the p-value of the window's counts, were the reference's shares the true ones."""
    import numpy as np

    one, other = _counted(reference, window)
    expected = one * (len(window) / len(reference))
    with np.errstate(divide="ignore"):
        statistic = float(((other - expected) ** 2 / expected).sum())
    if statistic == float("inf"):
        return 0.0
    from scipy.special import chdtrc

    return float(chdtrc(len(one) - 1, statistic)) if len(one) > 1 else float("nan")


def _z(reference: "Array", window: "Array") -> float:
    import math

    names = sorted({*reference.tolist(), *window.tolist()})
    if len(names) == 1:
        return 1.0
    sizes = len(reference), len(window)
    shares = [float((x != names[0]).sum()) / n for x, n in zip((reference, window), sizes, strict=True)]
    pooled = float(shares[0] * sizes[0] + shares[1] * sizes[1]) / sum(sizes)
    z = (shares[0] - shares[1]) / math.sqrt(pooled * (1 - pooled) * (1.0 / sizes[0] + 1.0 / sizes[1]))
    from scipy.special import ndtr

    return float(2 * (1 - ndtr(abs(z))))


def _binned(reference: "Array", window: "Array", *, numbers: bool) -> "tuple[Array, Array]":
    import numpy as np

    if numbers and len(np.unique(reference)) > _BINNED:
        edges = np.histogram_bin_edges(np.concatenate([reference, window]), bins="sturges")
        one, other = (np.histogram(x, edges)[0] for x in (reference, window))
    else:
        one, other = _counted(reference, window)
    return one / len(reference), other / len(window)


def _counted(reference: "Array", window: "Array") -> "tuple[Array, Array]":
    import numpy as np

    counts = [Counter(x.tolist()) for x in (reference, window)]
    names = sorted(counts[0].keys() | counts[1].keys())
    one, other = (np.array([c[name] for name in names], dtype=float) for c in counts)
    return one, other


def _filled(shares: "Array") -> "Array":
    """Put something small where there is nothing."""
    import numpy as np

    least = shares[shares != 0].min()
    return np.where(shares == 0, least / 10**6 if least <= 0.0001 else 0.0001, shares)
