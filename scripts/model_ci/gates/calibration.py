"""Calibration: whether what is given a probability of 0.3 happens three times in ten."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from model_ci.frozen import dataclass
from model_ci.gates.estimate import Estimate
from model_ci.gates.outputs import Outputs

if TYPE_CHECKING:
    from model_ci.types import Array

EXPECTED: Final = "expected_calibration_error"
_BINS: Final = 10
_ROWS: Final = 20  # in a bin, at least
_CONFIDENCE: Final = 0.95  # with which a model must be off before it has an error at all
_SAMPLES: Final = 1000
_BISECTIONS: Final = 30
_PRECISION: Final = 12
_STEPS: Final = 50
_CLOSE: Final = 1e-10


def expected_calibration_error(truth: "Array", probabilities: "Array") -> float:
    """Return the mean distance between the probabilities and how often the class came, corrected for chance.

    `probabilities` are (rows, classes). For two classes it is the probability of the second that is compared with how
    often it came, for several that of the predicted class with how often it was right (Guo et al. 2017). Chance alone puts a
    distance between the two in every bin, so the plain mean is above 0 for a model without any error. Where a calibrated model
    reaches this mean in more than 5 % of samples, the value is 0; else it is the error that is expected to show this mean.
    """
    bins = Bins.of(truth, probabilities)
    if bins is None:
        return float("nan")
    return bins.error() if bins.chance_calibrated(bins.plain) <= 1 - _CONFIDENCE else 0.0


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Bins of equally many rows, at most 10, with at least 20 rows each: how far off each is, and by how much chance puts it off.

    Bins of equal mass, as bins of equal width are mostly empty (Nixon et al. 2019). Equal probabilities share a bin, so that the
    order of the rows does not matter. `excess` is the rows of the class less those expected, `deviation` its standard deviation, whether or not the model is calibrated.
    """

    rows: "Array"
    expected: "Array"
    excess: "Array"
    deviation: "Array"

    @classmethod
    def of(cls, truth: "Array", probabilities: "Array") -> "Bins | None":
        """Sort rows into bins; None where a probability is no number."""
        import numpy as np

        if probabilities.shape[1] == 2:
            likely, came = probabilities[:, 1], truth == 1
        else:
            likely, came = probabilities.max(axis=1), truth == probabilities.argmax(axis=1)
        if not np.isfinite(likely).all() or not len(likely):
            return None
        many = min(_BINS, max(1, len(likely) // _ROWS))
        # The first row of each bin but the first: rows with the same probability are all on one side of it.
        edges = np.sort(likely)[[len(likely) * i // many for i in range(1, many)]]
        bins = np.searchsorted(edges, likely, side="right")
        rows, expected, excess, variance = (
            np.bincount(bins, weights, minlength=many)
            for weights in (np.ones(len(likely)), likely, came - likely, likely * (1 - likely))
        )
        used = rows > 0
        # A model that is off has other chances than it gives: theirs are near the shares that came.
        share = (expected + excess + 1) / (rows + 2)
        deviation = np.sqrt(np.maximum(variance, rows * share * (1 - share)))
        return cls(rows=rows[used], expected=expected[used], excess=excess[used], deviation=deviation[used])

    @property
    def plain(self) -> float:
        """The mean distance as it is."""
        import numpy as np

        return float(np.abs(self.excess).sum() / self.rows.sum())

    def error(self, standard_errors: float = 0.0) -> float:
        """Return the error, the same in all bins, that shows the plain mean when it is so many standard errors below its own.

        With the same error in all bins the mean is least, so this is never too small.
        """
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            mean, spread = self._shown(middle)
            low, high = (middle, high) if mean - standard_errors * spread < self.plain else (low, middle)
        return high

    def chance_calibrated(self, distance: float, error: float = 0.0) -> float:
        """Return in which share of samples a model with this error in all bins, none for a calibrated one, has at least this plain mean."""
        import numpy as np

        direction = 1 if self.excess.sum() >= 0 else -1
        chances = np.clip(self.expected / self.rows + direction * error, 0, 1)
        came = np.random.default_rng(0).binomial(self.rows.astype(int), chances, size=(_SAMPLES, len(self.rows)))
        plain = np.abs(came - self.expected).sum(axis=1) / self.rows.sum()
        return float(((plain >= distance - _CLOSE).sum() + 1) / (_SAMPLES + 1))

    def chance_below(self, error: float) -> float:
        """Return how often a model with at least this error shows no more than the plain mean."""
        from scipy.special import ndtr

        mean, spread = self._shown(error)
        return float(ndtr((self.plain - mean) / spread)) if spread else float(self.plain >= mean)

    def _shown(self, error: float) -> tuple[float, float]:
        """Return mean and standard deviation of the plain mean under an error that all bins have: folded normals."""
        import numpy as np
        from scipy.special import ndtr

        off, chance = error * self.rows, np.maximum(self.deviation, _CLOSE)
        folded = chance * math.sqrt(2 / math.pi) * np.exp(-((off / chance) ** 2) / 2) + off * (
            1 - 2 * ndtr(-off / chance)
        )
        variance = np.maximum(off**2 + chance**2 - folded**2, 0)
        total = self.rows.sum()
        return float(folded.sum() / total), float(np.sqrt(variance.sum()) / total)


@dataclass(frozen=True, kw_only=True)
class Calibration(Estimate):
    """An expected calibration error, with bounds that allow for what chance adds to it."""

    bins: Bins

    def interval(self, confidence: float) -> tuple[float, float]:  # noqa: D102
        from scipy.special import ndtri

        return self._lower(1 - confidence), max(self.bins.error(float(ndtri(confidence))), self.value)

    def chance_above(self, limit: float, sign: int = 1) -> float:  # noqa: D102
        if sign > 0:
            return 1.0 if limit <= 0 else self.bins.chance_below(limit)
        if limit > 0:
            return 0.0
        in_one_bin = self.bins.chance_calibrated(max(self.bins.plain + limit, 0.0))
        return max(in_one_bin, self.bins.chance_calibrated(self.bins.plain, -limit))

    def _lower(self, tail: float) -> float:
        """Return the error that is left when a calibrated model's mean is taken off; all of it may be in one bin."""
        low, high = 0.0, self.bins.plain
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.chance_above(-middle, -1) <= tail else (low, middle)
        return min(low, self.value)


@dataclass(frozen=True, kw_only=True)
class CalibrationDifference(Estimate):
    """The difference of two expected calibration errors: each bound takes half of the chance to be wrong (Bonferroni)."""

    mine: Calibration
    theirs: Calibration

    def interval(self, confidence: float) -> tuple[float, float]:  # noqa: D102
        each = (1 + confidence) / 2
        mine, theirs = self.mine.interval(each), self.theirs.interval(each)
        return mine[0] - theirs[1], mine[1] - theirs[0]

    def chance_above(self, limit: float, sign: int = 1) -> float:
        """Return the least chance to be wrong at which the bound excludes the limit."""
        low, high = 0.0, 1.0
        for _ in range(_PRECISION):
            middle = (low + high) / 2
            bounds = [sign * bound for bound in self.interval(1 - middle)]
            low, high = (low, middle) if max(bounds) < limit else (middle, high)
        return high


def estimate(outputs: Outputs, units: int, kind: str) -> Calibration | None:
    """Estimate a model's expected calibration error, which rests on so many rows of a kind; None where a probability is no number."""
    bins = None if outputs.probabilities is None else Bins.of(outputs.truth, outputs.probabilities)
    if bins is None or outputs.probabilities is None:
        return None
    value = expected_calibration_error(outputs.truth, outputs.probabilities)
    return Calibration(value=value, drawn_from=units, of=kind, bins=bins)


def difference(mine: Outputs, theirs: Outputs, units: int, kind: str) -> CalibrationDifference | None:
    """Estimate by how much one model's expected calibration error is above another's."""
    first, second = (estimate(side, units, kind) for side in (mine, theirs))
    if first is None or second is None:
        return None
    return CalibrationDifference(value=first.value - second.value, drawn_from=units, of=kind, mine=first, theirs=second)


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
    EXPECTED: (expected_calibration_error, False, ("binary", "multiclass")),
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
