"""A warm start: the champion's estimator is trained on."""

from typing import TYPE_CHECKING, Final

from model_ci.errors import ConfigError
from model_ci.stages.train import boosting
from model_ci.stages.train.continuing import Pair, last

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.types import Series

_COUNTS: Final = ("max_iter", "n_estimators")  # of what grows: trees, rounds


def check(estimator: "BaseEstimator") -> None:
    """Raise ConfigError for an estimator that cannot go on from a fitted one."""
    if not hasattr(last(estimator), "warm_start"):
        raise ConfigError(
            f"train.mode: {type(last(estimator)).__name__} has no warm_start; take one that has, such as gradient boosting, "
            "MLPClassifier or SGDClassifier, let the entry point take init_model, or set train.mode: scratch"
        )


def go_on(
    both: Pair, rows: "pd.DataFrame", answers: "Series", add: int | None
) -> "tuple[BaseEstimator, dict[str, int | None]]":
    """Fit the champion's estimator further, with the fresh one's hyperparameters; return it, and what was added.

    An ensemble gets more trees or rounds, `add` or a quarter of what the fresh one would have; a network or a linear
    model goes on from its weights. The champion's encoders stay as they are fitted, for the trees and weights speak
    in their terms.
    """
    estimator = both.champion
    had = _grown(estimator)
    estimator.set_params(**both.fresh.get_params(deep=False))
    record: dict[str, int | None] = {"had": had, "added": None}
    if had is not None:
        count = _count(estimator)
        added = add or max(getattr(both.fresh, count) // 4, 1)
        estimator.set_params(**{count: had + added})
        record = {"had": had, "added": added}
    estimator.set_params(warm_start=True)
    with boosting.going_on(estimator):
        estimator.fit(both.prepared(rows), answers)
    return both.joined(estimator), record


def _grown(estimator: "BaseEstimator") -> int | None:
    """Count the trees or rounds of an ensemble; None for what has weights instead."""
    if hasattr(estimator, "_predictors"):
        return len(estimator._predictors)
    trees = getattr(estimator, "estimators_", None)
    return None if trees is None else len(trees)


def _count(estimator: "BaseEstimator") -> str:
    return next(name for name in _COUNTS if hasattr(estimator, name))
