"""A model through scikit-learn, without MLflow: the file is opened as the manifest vouches for it."""

import sys
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.serving.arrays import unroll
from model_ci.serving.manifest import FOLDER, Manifest
from model_ci.serving.predictions import Predictions, one_column
from model_ci.serving.refusal import StartError
from model_ci.serving.signature import NUMBERS, Column, Rows, Signature, matrix
from model_ci.serving.types import Value, Values

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.serving.types import Array

TABLE, ARRAY = "table", "array"
FORMATS: Final = ("skops", "cloudpickle")
_NAN: Final = float("nan")
# Their predict is the class of the highest probability, so that asking once is enough.
_BY_PROBABILITY: Final = {
    "DecisionTreeClassifier", "ExtraTreeClassifier", "ExtraTreesClassifier", "HistGradientBoostingClassifier",
    "RandomForestClassifier",
}  # fmt: skip


class SklearnEngine:
    """An estimator that is asked with a table of the signature's columns, or with an array of them."""

    def __init__(self, estimator: "BaseEstimator", signature: Signature, given: str = TABLE) -> None:
        self.estimator = estimator
        self._signature = signature
        self._kinds = [_dtype(column.type) for column in signature.columns]
        self._texts = [kind == "text" for kind in self._kinds]
        self._asked = unroll(estimator, self._texts) if given == ARRAY else estimator
        self._given = self.array if given == ARRAY else self.table
        self._probabilities = hasattr(estimator, "predict_proba")
        self._classes = getattr(estimator, "classes_", None)
        last = type(_last(estimator))
        self._once = self._probabilities and last.__name__ in _BY_PROBABILITY and last.__module__.startswith("sklearn.")

    def predict(self, rows: Rows) -> Predictions:
        """Ask the estimator about rows of a request."""
        return self.answers(self._given(rows))

    def answers(self, given: Value) -> Predictions:
        """Ask the estimator about a table or an array, once where that says all."""
        import numpy as np

        with warnings.catch_warnings(action="ignore"):
            chances = np.asarray(self._asked.predict_proba(given), dtype=float) if self._probabilities else None
            if self._once and chances is not None and self._classes is not None:
                labels = self._classes[chances.argmax(axis=1)]
            else:
                labels = one_column(np.asarray(self._asked.predict(given)))
        return Predictions(labels=labels, probabilities=chances)

    def table(self, rows: Rows) -> "pd.DataFrame":
        """Return rows as the estimator takes them, with the types that MLflow's signature gives."""
        import pandas as pd

        columns = {
            column.name: _values(values, kind, column)
            for column, kind, values in zip(self._signature.columns, self._kinds, rows.values, strict=True)
        }
        return pd.DataFrame(columns, copy=False)

    def array(self, rows: Rows) -> "Array":
        """Return rows side by side; null is NaN, in columns of text as well, as it is in a table."""
        if not any(self._texts):
            return matrix(rows.values, "float64")
        filled = [[_NAN if v is None else v for v in values] if None in values else values for values in rows.values]
        return matrix(filled, object)


def open_estimator(manifest: Manifest) -> Value:
    """Open the model's file: skops with the types that the manifest trusts, and a pickle that it vouches for."""
    described = manifest["sklearn"]
    file = manifest.root / described["file"]
    if described["file"] not in manifest["files"]:
        raise StartError(f"{file}: the manifest does not vouch for this file; build the image again")
    code = manifest.root / FOLDER / "code"
    if code.is_dir() and str(code) not in sys.path:
        sys.path.insert(0, str(code))
    if described["format"] not in FORMATS:
        raise StartError(
            f"{file}: the format {described['format']!r} is not known; save the model as {' or '.join(FORMATS)}"
        )
    return read(file, described["format"], described["trusted_types"])


def read(file: Path, kind: str, trusted: Sequence[str]) -> Value:
    """Read an estimator's file in one of FORMATS; the file must have been checked by its hash."""
    with warnings.catch_warnings(action="ignore"):
        if kind == "skops":
            import skops.io

            return skops.io.load(file, trusted=list(trusted))
        import cloudpickle

        with file.open("rb") as handle:
            return cloudpickle.load(handle)


def _dtype(kind: str) -> str:
    if kind in NUMBERS:
        return {"long": "int64", "integer": "int32", "double": "float64", "float": "float32", "boolean": "bool"}[kind]
    return "times" if kind == "datetime" else "text"


def _values(values: Values, kind: str, column: Column) -> Value:
    import pandas as pd

    if column.categories is not None:
        known = frozenset(column.categories)
        kept = [value if value in known else None for value in values]
        return pd.Series(kept, dtype=pd.CategoricalDtype(list(column.categories), ordered=column.ordered))
    return _times(values, column.dtype) if column.type == "datetime" else _series(values, kind)


def _series(values: Values, kind: str) -> Value:
    import numpy as np
    import pandas as pd

    if kind == "text":
        return pd.Series(values, dtype=object if all(value is None for value in values) else None)
    return np.array(values, dtype=kind)


def _times(values: Values, dtype: str) -> Value:
    """Return times in the zone and the unit that the model was trained on."""
    import numpy as np
    import pandas as pd

    times = [None if value is None else datetime.fromisoformat(value) for value in values]
    utc = [time if time is None or time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None) for time in times]
    index = pd.DatetimeIndex(np.array(utc, dtype="datetime64[us]"))
    kind: Value = pd.api.types.pandas_dtype(dtype or "datetime64[ns]")
    unit: Value = kind.unit if isinstance(kind, pd.DatetimeTZDtype) else np.datetime_data(kind)[0]
    if isinstance(kind, pd.DatetimeTZDtype):
        index = index.tz_localize("UTC").tz_convert(kind.tz)
    return pd.Series(index.as_unit(unit))


def _last(estimator: "BaseEstimator") -> Value:
    """Return what decides: the end of a pipeline."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return estimator
