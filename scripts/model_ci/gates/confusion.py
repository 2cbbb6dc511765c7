"""Metrics of labels from confusion matrices of many resamples at once, (resamples, truth, label)."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from model_ci.types import Array

OfMatrices = Callable[["Array"], "Array"]


def formula(name: str, task: str) -> OfMatrices | None:
    """Return a metric of confusion matrices as scikit-learn defines it; None for one that is not known here."""
    if name in _PLAIN:
        return _PLAIN[name]
    kind, _, average = name.partition("_")
    if kind not in _OF_CLASS or (average not in _AVERAGES and not (task == "binary" and not average)):
        return None
    of_class, over = _OF_CLASS[kind], _AVERAGES[average]

    def values(matrices: "Array") -> "Array":
        hits = matrices.diagonal(axis1=1, axis2=2)
        true, predicted = matrices.sum(axis=2), matrices.sum(axis=1)
        if average == "micro":
            hits, true, predicted = (part.sum(axis=1, keepdims=True) for part in (hits, true, predicted))
        return over(_share(*of_class(hits, true, predicted)), true)

    return values


def _share(part: "Array", whole: "Array") -> "Array":
    """Divide; 0 of 0 is 0, as scikit-learn has it."""
    import numpy as np

    return np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)  # type: ignore[no-any-return]


def _accuracy(matrices: "Array") -> "Array":
    return matrices.trace(axis1=1, axis2=2) / matrices.sum(axis=(1, 2))  # type: ignore[no-any-return]


def _balanced(matrices: "Array") -> "Array":
    return _share(matrices.diagonal(axis1=1, axis2=2), matrices.sum(axis=2)).mean(axis=1)  # type: ignore[no-any-return]


def _matthews(matrices: "Array") -> "Array":
    import numpy as np

    true, predicted, total = matrices.sum(axis=2), matrices.sum(axis=1), matrices.sum(axis=(1, 2))
    above = matrices.trace(axis1=1, axis2=2) * total - (true * predicted).sum(axis=1)
    spread = (total**2 - (true**2).sum(axis=1)) * (total**2 - (predicted**2).sum(axis=1))
    return _share(above, np.sqrt(spread))


_PLAIN: Final[Mapping[str, OfMatrices]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced,
    "matthews_corrcoef": _matthews,
}
# Of (hits, rows of the class, rows predicted so): what is divided by what.
_OF_CLASS: Final[Mapping[str, Callable[["Array", "Array", "Array"], "tuple[Array, Array]"]]] = {
    "recall": lambda hits, true, predicted: (hits, true),
    "precision": lambda hits, true, predicted: (hits, predicted),
    "f1": lambda hits, true, predicted: (2 * hits, true + predicted),
    "jaccard": lambda hits, true, predicted: (hits, true + predicted - hits),
}
_AVERAGES: Final[Mapping[str, Callable[["Array", "Array"], "Array"]]] = {
    "": lambda values, true: values[:, 1],
    "macro": lambda values, true: values.mean(axis=1),
    "micro": lambda values, true: values[:, 0],
    "weighted": lambda values, true: (values * true).sum(axis=1) / true.sum(axis=1),
}
