"""Histogram gradient boosting that goes on with other rows than before.

scikit-learn finds bins and category codes anew at each fit, and asks the trees it already has in those, though they were
grown in the old ones: on other rows the answers are wrong, and so is what the new trees are to mend. Here the trees are
asked with the values themselves, and a category keeps its code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


_OWN: Final = ("_preprocess_X", "_bin_data", "_raw_predict", "_predict_iterations", "_predictors", "_check_categories")


@contextmanager
def going_on(estimator: "BaseEstimator") -> Iterator[None]:
    """Let `fit` add right trees to those of a fitted estimator; other estimators are left alone."""
    if not all(hasattr(estimator, name) for name in _OWN):
        yield
        return
    kind, seen = type(estimator), {}

    def preprocess(rows: Any, *, reset: bool) -> Any:
        known = kind._preprocess_X(estimator, rows, reset=False)
        if not reset:
            return known
        return known, None if estimator._preprocessor is None else estimator._check_categories()

    def bin_data(rows: Any, sample_weight: Any = None, is_training_data: bool = True) -> Any:
        binned = kind._bin_data(estimator, rows, sample_weight, is_training_data)
        seen[id(binned)] = (binned, rows)
        return binned

    def raw_predict(rows: Any, n_threads: int | None = None) -> Any:
        import numpy as np

        _, values = seen.get(id(rows), (None, None))
        if values is None:
            return kind._raw_predict(estimator, rows, n_threads)
        shape = (len(values), estimator.n_trees_per_iteration_)
        raw = np.zeros(shape, dtype=estimator._baseline_prediction.dtype, order="F")
        raw += estimator._baseline_prediction
        estimator._predict_iterations(values, estimator._predictors, raw, is_binned=False, n_threads=n_threads)
        return raw

    replaced = {"_preprocess_X": preprocess, "_bin_data": bin_data, "_raw_predict": raw_predict}
    vars(estimator).update(replaced)
    try:
        yield
    finally:
        for name in replaced:
            del vars(estimator)[name]
