"""Histogram gradient boosting that goes on: on other rows than before its bins must stay as they were.

scikit-learn finds bins and category codes anew at each fit, while the trees it already has were grown in the old ones:
their answers during the fit, and so what the new trees mend, would be wrong on other rows. Here the fitted bins and
codes are used again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_OWN: Final = ("_preprocess_X", "_bin_data", "_bin_mapper")


@contextmanager
def kept(estimator: Any) -> Iterator[None]:
    """Fit `estimator` in the bins that it has; other estimators are left alone."""
    if not all(hasattr(estimator, name) for name in _OWN):
        yield
        return
    mapper, kind = estimator._bin_mapper, type(estimator)

    def preprocess(rows: Any, *, reset: bool) -> Any:
        known = kind._preprocess_X(estimator, rows, reset=False)
        return (known, None) if reset else known

    def bin_data(rows: Any, sample_weight: Any = None, is_training_data: bool = True) -> Any:
        import numpy as np

        estimator._bin_mapper = mapper
        binned = mapper.transform(rows)
        return binned if is_training_data else np.ascontiguousarray(binned)

    estimator._preprocess_X, estimator._bin_data = preprocess, bin_data
    try:
        yield
    finally:
        del estimator._preprocess_X, estimator._bin_data
