"""A fitted pipeline that is asked with arrays in the place of tables: most of what one row costs is the table.

Whether the answers stay the same is not argued but compared, when the image is built, on the same rows as ONNX is.
"""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from model_ci.serving.types import Value

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from model_ci.serving.types import Array


class NotUnrolledError(Exception):
    """Why a pipeline needs its table."""


def unroll(estimator: "BaseEstimator", texts: Sequence[bool]) -> Value:
    """Return a copy that takes arrays, rows x columns; `texts` tells which of the columns hold text.

    Raises NotUnrolledError where the pipeline cannot do without a table.
    """
    bare = copy.deepcopy(estimator)
    _forget_names(bare)
    steps = getattr(bare, "steps", None)
    if steps and hasattr(steps[0][1], "transformers_"):
        steps[0] = (steps[0][0], Columns(steps[0][1], texts))
    elif any(texts):
        raise NotUnrolledError("its first step is no ColumnTransformer, and there is text")
    _unroll_boosting(steps[-1][1] if steps else bare)
    return bare


def _unroll_boosting(final: "BaseEstimator") -> None:
    """Histogram boosting with categories has a table's transformer inside."""
    inner = getattr(final, "_preprocessor", None)
    if hasattr(inner, "transformers_"):
        final._preprocessor = Columns(inner, [False] * final.n_features_in_)


def _forget_names(part: Value) -> None:
    """Take the names of the columns away, so that nobody misses them; what needs them fails, and keeps its table."""
    if not hasattr(part, "__dict__"):
        return
    part.__dict__.pop("feature_names_in_", None)
    inside = [getattr(part, name, None) for name in ("best_estimator_", "_preprocessor")]
    inside += [step for _, step in getattr(part, "steps", [])]
    inside += [entry[1] for name in ("transformers_", "transformer_list") for entry in getattr(part, name, [])]
    for other in inside:
        _forget_names(other)


class Columns:
    """A fitted ColumnTransformer, on arrays."""

    def __init__(self, fitted: "BaseEstimator", texts: Sequence[bool]) -> None:
        if fitted.sparse_output_:
            raise NotUnrolledError("its columns are sparse")
        self._parts: list[tuple[Value, list[int], bool]] = []
        for name, step, _ in fitted.transformers_:
            places = list(fitted._transformer_to_input_indices[name])
            if step == "drop" or not places:
                continue
            if type(step).__name__ == "OrdinalEncoder" and step.handle_unknown == "use_encoded_value":
                self._parts.append((Codes(step), places, True))
                continue
            kinds = {texts[place] for place in places}
            if len(kinds) > 1:
                raise NotUnrolledError(f"{name} takes text and numbers together")
            untouched = step == "passthrough" or (hasattr(step, "func") and step.func is None)
            self._parts.append((None if untouched else step, places, kinds.pop()))

    def __sklearn_tags__(self) -> Value:
        """Say as little as a transformer may."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))

    def transform(self, rows: "Array") -> "Array":
        """Transform each part of the columns; return them side by side."""
        import numpy as np

        made = []
        for step, places, text in self._parts:
            part = rows[:, places]
            if not text and part.dtype == object:
                part = part.astype(float)
            made.append(part if step is None else step.transform(part))
        return np.hstack(made)


class Codes:
    """A fitted OrdinalEncoder that gives the unknown a code of its own: one look-up a value."""

    def __init__(self, fitted: "BaseEstimator") -> None:
        self._unknown = float(fitted.unknown_value)
        self._codes: list[dict[Value, float]] = []
        self._missing: list[float] = []
        if getattr(fitted, "_infrequent_enabled", False):
            raise NotUnrolledError("its encoder groups what is rare")
        for categories in fitted.categories_:
            codes = {value: float(code) for code, value in enumerate(categories.tolist())}
            null = [value for value in codes if value is None or value != value]  # noqa: PLR0124 - NaN alone is not itself
            self._missing.append(float(fitted.encoded_missing_value) if null else self._unknown)
            self._codes.append({value: code for value, code in codes.items() if value not in null})

    def transform(self, rows: "Array") -> "Array":
        """Return the codes, as doubles."""
        import numpy as np

        unknown = self._unknown
        made = [
            [missing if value != value else codes.get(value, unknown) for value in column]  # noqa: PLR0124 - as above
            for codes, missing, column in zip(self._codes, self._missing, rows.T.tolist(), strict=True)
        ]
        return np.array(made).T
