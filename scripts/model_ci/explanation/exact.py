"""Attributions of trees and linear models behind encoders, by shap, summed back to the input columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from model_ci.errors import ModelCIError, first_line
from model_ci.explanation import answers
from model_ci.explanation.attributions import Attributions
from model_ci.explanation.lineage import trace

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.types import Array


_CELLS: Final = 20_000_000  # of the encoded table; more would fill a runner's memory


class UnexplainedError(ModelCIError):
    """Why a model cannot be explained exactly."""


def attribute(
    model: "BaseEstimator", rows: "pd.DataFrame", background: "pd.DataFrame", task: str, tolerance: float
) -> Attributions:
    """Attribute by the final estimator's own structure.

    Raises UnexplainedError when it has none that is known, or when the attributions do not add up to what the whole
    model answers; raises UnknownLineageError when they cannot be summed back.
    """
    names = list(rows.columns)
    if list(getattr(model, "feature_names_in_", names)) != names:
        raise UnexplainedError("the model was fitted on columns in another order")
    steps, final = _parts(model)
    encoded, sources = _encode(steps, rows)
    kind = _kind(final, encoded.shape[1])
    if kind == "linear":
        behind, _ = _encode(steps, background)
        values, base = _linear(final, encoded, behind)
    else:
        values, base = _tree(final, encoded)
    if task == "binary" and values.shape[2] == 2:
        values, base = values[:, :, 1:], base[1:]
    summed = _sum(values, sources, len(names))
    tried = []
    for scale, outputs in answers.scales(model, rows, task):
        if outputs.shape != (len(rows), values.shape[2]):
            continue
        attributions = Attributions(
            explainer=kind, scale=scale, columns=names, values=summed, base=base, outputs=outputs,
            background=len(background) if kind == "linear" else 0,
        )  # fmt: skip
        if attributions.holds(tolerance):
            return attributions
        tried.append(f"{attributions.error:.3g} in {scale}")
    missed = ", ".join(tried) or "of another shape"
    raise UnexplainedError(f"shap's attributions of {type(final).__name__} miss the model's output: {missed}")


def _parts(model: "BaseEstimator") -> "tuple[list[BaseEstimator], BaseEstimator]":
    """Part a model into what encodes and the estimator at its end; searches stand for what they found."""
    from sklearn.model_selection._search import BaseSearchCV
    from sklearn.pipeline import Pipeline

    steps: list[BaseEstimator] = []
    while isinstance(model, Pipeline | BaseSearchCV):
        if isinstance(model, Pipeline):
            steps += [step for _, step in model.steps[:-1] if step not in (None, "passthrough")]
            model = model.steps[-1][1]
        else:
            model = model.best_estimator_
    return steps, model


def _encode(steps: "Sequence[BaseEstimator]", rows: "pd.DataFrame") -> "tuple[Array, list[int]]":
    import numpy as np

    table: Any = rows
    sources = list(range(rows.shape[1]))
    for step in steps:
        table = step.transform(table)
        sources = trace(step, sources, table.shape[1])
    if table.shape[0] * table.shape[1] > _CELLS:
        raise UnexplainedError(f"{table.shape[1]:,} encoded columns are too many to explain one by one")
    dense = table.toarray() if hasattr(table, "toarray") else table
    try:
        return np.asarray(dense, dtype=float), sources
    except (TypeError, ValueError):
        raise UnexplainedError("the final estimator is given columns that are no numbers") from None


def _kind(final: "BaseEstimator", width: int) -> str:
    """Tell what a final estimator is, by what it has; whether that is true, adding up shows."""
    coefficients = getattr(final, "coef_", None)
    if hasattr(final, "intercept_") and getattr(coefficients, "shape", (0,))[-1] == width:
        return "linear"
    if hasattr(final, "tree_") or hasattr(final, "_predictors") or hasattr(final, "get_booster"):
        return "tree"
    if hasattr(final, "booster_") or hasattr(final, "get_all_params") or _of_trees(final):
        return "tree"
    raise UnexplainedError(f"{type(final).__name__} is neither made of trees nor linear")


def _of_trees(final: "BaseEstimator") -> bool:
    import numpy as np

    members = np.ravel(getattr(final, "estimators_", [])).tolist()
    return bool(members) and all(hasattr(member, "tree_") for member in members)


def _linear(final: "BaseEstimator", encoded: "Array", background: "Array") -> "tuple[Array, Array]":
    import shap

    try:
        masker = shap.maskers.Independent(background, max_samples=len(background))
        explainer = shap.LinearExplainer(final, masker)
        return _shaped(explainer.shap_values(encoded), explainer.expected_value)
    except Exception as error:  # noqa: BLE001 - whatever shap cannot do, sampling can
        raise UnexplainedError(f"shap cannot explain {type(final).__name__}: {first_line(error)}") from None


def _tree(final: "BaseEstimator", encoded: "Array") -> "tuple[Array, Array]":
    import shap

    try:
        explainer = shap.TreeExplainer(final, feature_perturbation="tree_path_dependent")
        return _shaped(explainer.shap_values(encoded, check_additivity=False), explainer.expected_value)
    except Exception as error:  # noqa: BLE001 - whatever shap cannot do, sampling can
        raise UnexplainedError(f"shap cannot explain {type(final).__name__}: {first_line(error)}") from None


def _shaped(values: "Array", base: "Array") -> "tuple[Array, Array]":
    import numpy as np

    shaped = np.asarray(values, dtype=float)
    return shaped.reshape(*shaped.shape[:2], -1), np.atleast_1d(np.asarray(base, dtype=float)).ravel()


def _sum(values: "Array", sources: Sequence[int], columns: int) -> "Array":
    import numpy as np

    summed = np.zeros((values.shape[0], columns, values.shape[2]))
    for encoded, source in enumerate(sources):
        summed[:, source] += values[:, encoded]
    return summed
