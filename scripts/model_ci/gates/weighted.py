"""Metrics of many resamples at once: each resample is a row of weights, how often each row of the holdout was drawn.

A metric of a resample is the metric with those weights. For most metrics that is one pass over sums that are computed
once; what has no such form is asked resample by resample.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from model_ci.frozen import dataclass
from model_ci.gates.outputs import class_count

if TYPE_CHECKING:
    from model_ci.gates.confusion import OfMatrices
    from model_ci.gates.outputs import Outputs
    from model_ci.types import Array

# (resamples, rows) of counts -> (resamples,) of values.
Weighted = Callable[["Array"], "Array"]


_FEW_SCORES: Final = 8  # rows to a score, so that it is quicker to count by score than by row


def by_rows(losses: "Array", root: bool = False) -> Weighted:
    """Return the weighted mean of one loss a row, or its square root."""
    import numpy as np

    def values(weights: "Array") -> "Array":
        means = weights @ losses / weights.sum(axis=1)
        return np.sqrt(means) if root else means  # type: ignore[no-any-return]

    return values


def r2(truth: "Array", predicted: "Array") -> Weighted:
    """Return the coefficient of determination from weighted sums."""
    # Centred first: the sum of squares about the mean would lose its digits to a large mean.
    centred = truth - truth.mean()
    errors = (truth - predicted) ** 2

    def values(weights: "Array") -> "Array":
        total = weights.sum(axis=1)
        spread = weights @ centred**2 - (weights @ centred) ** 2 / total
        return 1 - (weights @ errors) / spread  # type: ignore[no-any-return]

    return values


_ADDED: Final = 0.5  # rows to a cell of the table of what both models say of a class (Agresti and Min 2005)


@dataclass(frozen=True, kw_only=True)
class Smoothing:
    """Rows that are added to resamples of labels, so that a cell which no row is in counts as rare and not as impossible.

    Of each class half a row on average is added for each case: both models right, one of them, none. `side` tells which model's
    labels these are; both sides add the same rows. With `each`, every class gets so much, for metrics that weigh all classes alike;
    otherwise the classes share it.
    """

    side: int
    each: bool


def by_counts(outputs: "Outputs", score: "OfMatrices", smoothing: Smoothing | None = None) -> Weighted:
    """Return a metric of labels, asked about the weighted confusion matrices instead of every row."""
    import numpy as np

    truth, labels = outputs.truth.astype(int), outputs.labels.astype(int)
    many = class_count(outputs)
    cells, cell_of_row = np.unique(truth * many + labels, return_inverse=True)
    members = np.zeros((len(truth), len(cells)))
    members[np.arange(len(truth)), cell_of_row.ravel()] = 1
    added = _added(outputs, many, smoothing) if smoothing else None

    def values(weights: "Array") -> "Array":
        matrices = np.zeros((len(weights), many * many))
        matrices[:, cells] = weights @ members
        if added:
            matrices += added(len(weights))
        return score(matrices.reshape(-1, many, many))

    return values


def of_each(score: Callable[..., float]) -> "OfMatrices":
    """Return scikit-learn's function of labels as one of many confusion matrices: each is rows with weights."""
    import numpy as np

    def value(matrix: "Array") -> float:
        truth, labels = matrix.nonzero()
        return score(truth, labels, sample_weight=matrix[truth, labels])

    return lambda matrices: np.array([value(matrix) for matrix in matrices])


def _added(outputs: "Outputs", many: int, smoothing: Smoothing) -> "Callable[[int], Array]":
    """Return what draws the added rows of so many resamples: the same for both models, as each is asked about the same ones."""
    import numpy as np

    counts = np.bincount(outputs.truth.astype(int), minlength=many)
    means = np.where(counts, _ADDED * (1 if smoothing.each else counts / counts.sum()), 0)
    classes = np.arange(many)
    labels = np.stack([classes, (classes + 1) % many])  # right, and wrong
    generator = np.random.default_rng(0)

    def draw(resamples: int) -> "Array":
        drawn = generator.poisson(means, size=(resamples, 2, 2, many))
        of_side = drawn.sum(axis=2 - smoothing.side)  # (resamples, right or wrong, classes)
        matrices = np.zeros((resamples, many * many))
        for right in (0, 1):
            matrices[:, classes * many + labels[right]] += of_side[:, right]
        return matrices

    return draw


def roc_auc(truth: "Array", scores: "Array") -> Weighted:
    """Return the area under the ROC curve: the share of pairs in the right order, ties counted half.

    Mann and Whitney 1947. The scores are sorted once, whatever the number of resamples.
    """

    place = _places(scores)
    return _area_by_rows(truth, scores) if place is None else _area_by_scores(truth, place)


def _places(scores: "Array") -> "Array | None":
    """Number the scores from the lowest on; None where so many differ that it is quicker to go by rows."""
    import numpy as np

    distinct = np.unique(scores)
    return np.searchsorted(distinct, scores) if len(distinct) * _FEW_SCORES <= len(scores) else None


def _tallied(truth: "Array", place: "Array") -> "Callable[[Array], tuple[Array, Array]]":
    """Return what sums the weights of the negative and of the positive rows of each score."""
    import numpy as np

    cells, size = 2 * place + (truth == 1), 2 * (int(place.max()) + 1)

    def tally(weights: "Array") -> "tuple[Array, Array]":
        counts = np.bincount(cells, weights, size)
        return counts[0::2], counts[1::2]

    return tally


def _area_by_scores(truth: "Array", place: "Array") -> Weighted:
    import numpy as np

    tally = _tallied(truth, place)

    def area(weights: "Array") -> float:
        negative, positive = tally(weights)
        pairs = positive.sum() * negative.sum()
        return float(positive @ (np.cumsum(negative) - negative / 2) / pairs) if pairs else float("nan")

    return lambda weights: np.array([area(each) for each in weights])


def _area_by_rows(truth: "Array", scores: "Array") -> Weighted:
    """Sum the weights of the negative rows below each positive one: a running sum, read at the place that the row has."""
    import numpy as np

    # Both in the order of their scores, so that the running sums are read from first to last.
    ranks = np.argsort(scores, kind="stable")
    ups, downs = ranks[truth[ranks] == 1], ranks[truth[ranks] != 1]
    first, last = (np.searchsorted(scores[downs], scores[ups], side) for side in ("left", "right"))
    tied = bool((first != last).any())

    negative, positive = np.empty(len(downs)), np.empty(len(ups))
    sums, lower, upper = np.zeros(len(downs) + 1), np.empty(len(ups)), np.empty(len(ups))

    def area(weights: "Array") -> float:
        # One resample at a time, into memory that stays in the cache: `clip` only spares a check, no place is outside.
        np.take(weights, downs, out=negative, mode="clip")
        np.take(weights, ups, out=positive, mode="clip")
        np.cumsum(negative, out=sums[1:])
        np.take(sums, first, out=lower, mode="clip")
        if tied:
            np.take(sums, last, out=upper, mode="clip")
            np.divide(np.add(lower, upper, out=lower), 2, out=lower)
        pairs = positive.sum() * sums[-1]
        return float(positive @ lower / pairs) if pairs else float("nan")  # of one class only there is no area

    return lambda weights: np.array([area(each) for each in weights])


def average_precision(truth: "Array", scores: "Array") -> Weighted:
    """Return the average precision: the precision at each score, weighted by the share of the positive rows there.

    The scores are sorted once, whatever the number of resamples. Rows of one score count together.
    """
    import numpy as np

    place = _places(scores)
    if place is not None:
        tally = _tallied(truth, place)
        return lambda weights: np.array([_precision(*(part[::-1] for part in tally(each))) for each in weights])
    ranks = np.argsort(-scores, kind="stable")
    first = np.flatnonzero(np.append(True, np.diff(scores[ranks]) != 0))  # of each score
    positive = (truth[ranks] == 1).astype(float)
    tied = len(first) < len(ranks)
    drawn = np.empty(len(ranks))

    def value(weights: "Array") -> float:
        np.take(weights, ranks, out=drawn, mode="clip")
        hits = drawn * positive
        negative = drawn - hits
        if tied:
            negative, hits = np.add.reduceat(negative, first), np.add.reduceat(hits, first)
        return _precision(negative, hits)

    return lambda weights: np.array([value(each) for each in weights])


def _precision(negative: "Array", positive: "Array") -> float:
    """Return the average precision of the weights at each score, the highest score first."""
    import numpy as np

    hits, rows = np.cumsum(positive), np.cumsum(negative + positive)
    with np.errstate(invalid="ignore"):  # a resample without a positive row has no precision
        return float(positive @ (hits / np.maximum(rows, 1)) / hits[-1])


def one_by_one(ask: Callable[["Outputs"], float], outputs: "Outputs") -> Weighted:
    """Return any metric at all, asked about the drawn rows of each resample."""
    import numpy as np

    def values(weights: "Array") -> "Array":
        return np.array([_asked(ask, outputs.drawn(np.repeat(np.arange(len(w)), w.astype(int)))) for w in weights])

    return values


def _asked(ask: Callable[["Outputs"], float], drawn: "Outputs") -> float:
    try:
        return float(ask(drawn))
    except Exception:  # noqa: BLE001 - a resample that has no value is one that has none
        return float("nan")


def row_losses(name: str, outputs: "Outputs") -> "tuple[Array, bool] | None":
    """Return a metric's loss of each row and whether the mean's root is taken; None when it is no mean of losses."""
    import numpy as np

    truth = outputs.truth
    if name in _OF_NUMBERS:
        loss, root = _OF_NUMBERS[name]
        return loss(np, truth, outputs.labels), root
    if outputs.probabilities is None:
        return None
    probabilities = outputs.probabilities
    if name == "log_loss" and truth.max() < probabilities.shape[1]:
        eps = np.finfo(probabilities.dtype).eps
        chosen = probabilities[np.arange(len(truth)), truth]
        return -np.log(np.clip(chosen, eps, 1 - eps)), False
    if name == "brier_score" and probabilities.shape[1] == 2:
        return (truth - probabilities[:, 1]) ** 2, False
    return None


def row_influence(name: str, outputs: "Outputs") -> "Array | None":
    """Return what each row adds to a metric, up to a constant; None where it is no mean of rows, or near one."""
    import numpy as np

    if losses := row_losses(name, outputs):
        each, root = losses
        return each / (2 * np.sqrt(each.mean())) if root and each.any() else each
    if name != "r2":
        return None
    distances = (outputs.truth - outputs.truth.mean()) ** 2
    errors, spread = (outputs.truth - outputs.labels) ** 2, distances.mean()
    return (errors.mean() / spread * distances - errors) / spread if spread else None


_Loss = Callable[[Any, Any, Any], Any]
_OF_NUMBERS: Final[Mapping[str, tuple[_Loss, bool]]] = {
    "mean_absolute_error": (lambda np, y, p: np.abs(y - p), False),
    "mean_squared_error": (lambda np, y, p: (y - p) ** 2, False),
    "root_mean_squared_error": (lambda np, y, p: (y - p) ** 2, True),
    "mean_squared_log_error": (lambda np, y, p: (np.log1p(y) - np.log1p(p)) ** 2, False),
    "root_mean_squared_log_error": (lambda np, y, p: (np.log1p(y) - np.log1p(p)) ** 2, True),
    "mean_absolute_percentage_error": (
        lambda np, y, p: np.abs(y - p) / np.maximum(np.abs(y), np.finfo(np.float64).eps),
        False,
    ),
}
