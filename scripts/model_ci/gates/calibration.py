"""Calibration: whether what is given a probability of 0.3 happens three times in ten."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from model_ci.types import Array

_BINS: Final = 10
_STEPS: Final = 50
_CLOSE: Final = 1e-10


def expected_calibration_error(truth: "Array", probabilities: "Array") -> float:
    """Return the mean distance between what was said and what happened, over bins of equally many rows.

    `probabilities` are (rows, classes). For two classes it is the probability of the second that is compared with how
    often it came, for several that of the predicted class with how often it was right (Guo et al. 2017). Bins of equal
    mass, as bins of equal width are mostly empty (Nixon et al. 2019). Equal probabilities share a bin, so that the
    order of the rows does not matter.
    """
    import numpy as np

    if probabilities.shape[1] == 2:
        predicted, came = probabilities[:, 1], truth == 1
    else:
        predicted, came = probabilities.max(axis=1), truth == probabilities.argmax(axis=1)
    if not np.isfinite(predicted).all():
        return float("nan")
    ordered = np.sort(predicted)
    # The first row of each bin but the first: rows with the same probability are all on one side of it.
    edges = ordered[[len(predicted) * i // _BINS for i in range(1, _BINS)]]
    bins = np.searchsorted(edges, predicted, side="right")
    return float(np.abs(np.bincount(bins, came - predicted, minlength=_BINS)).sum() / len(predicted))


def calibration_slope(truth: "Array", probabilities: "Array") -> float:
    """Return the slope of the truth on the log odds (Cox 1958): 1 is right, less is overconfident, more is timid.

    NaN where the data has no such line, as when the classes are apart or all probabilities are equal.
    """
    return float(_line(truth, _log_odds(probabilities), slope=True)[1])


def calibration_intercept(truth: "Array", probabilities: "Array") -> float:
    """Return how far the log odds are too low on the whole, their slope left as it is: 0 is right."""
    return float(_line(truth, _log_odds(probabilities), slope=False)[0])


# Name -> function, whether greater is better (None: there is a right value in the middle), and for which tasks.
CALIBRATION: Final[Mapping[str, tuple[Callable[[Any, Any], float], bool | None, tuple[str, ...]]]] = {
    "expected_calibration_error": (expected_calibration_error, False, ("binary", "multiclass")),
    "calibration_slope": (calibration_slope, None, ("binary",)),
    "calibration_intercept": (calibration_intercept, None, ("binary",)),
}


def _log_odds(probabilities: "Array") -> "Array":
    import numpy as np

    eps = np.finfo(float).eps
    positive = np.clip(probabilities[:, 1], eps, 1 - eps)
    return np.log(positive / (1 - positive))  # type: ignore[no-any-return]


def _line(truth: "Array", odds: "Array", *, slope: bool) -> "Array":
    """Fit intercept and slope by Newton's method; the slope stays 1 unless it is asked for."""
    import numpy as np

    came = (truth == 1).astype(float)
    design = np.column_stack([np.ones_like(odds), odds]) if slope else np.ones((len(odds), 1))
    fitted = np.array([0.0, 1.0]) if slope else np.array([0.0])
    offset = np.zeros_like(odds) if slope else odds
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-(design @ fitted + offset)))
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design
        try:
            step = np.linalg.solve(curvature, design.T @ (came - chance))
        except np.linalg.LinAlgError:
            break
        fitted = fitted + step
        if np.abs(step).max() < _CLOSE:
            return fitted
    return np.array([np.nan, np.nan])
