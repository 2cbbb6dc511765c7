"""What goes on from a fitted estimator, and why another one cannot."""

import copy
from typing import TYPE_CHECKING, Any

from model_ci.errors import ModelCIError
from model_ci.frozen import dataclass
from model_ci.serving.classes import name

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.types import Series


class CannotContinueError(ModelCIError):
    """The champion's model is another one than the entry point makes, so that training begins from scratch."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The estimators at the ends of two pipelines, and the champion's fitted steps before its own."""

    fresh: "BaseEstimator"
    champion: "BaseEstimator"
    _before: "BaseEstimator"
    _whole: "BaseEstimator"

    def prepared(self, rows: "pd.DataFrame") -> "BaseEstimator":
        """Turn rows into what the champion's last step learnt from."""
        return self._before.transform(rows) if self._before is not None else rows

    def joined(self, last: "BaseEstimator") -> "BaseEstimator":
        """Put an estimator where the champion's was."""
        if self._before is None:
            return last
        whole = copy.copy(self._whole)
        whole.steps = [*self._whole.steps[:-1], (self._whole.steps[-1][0], last)]
        return whole


def pair(champion: "BaseEstimator", fresh: "BaseEstimator", rows: "pd.DataFrame", answers: "Series") -> Pair:
    """Set the champion's estimator beside a fresh one, its own copy.

    Raises CannotContinueError when the kinds, the steps before them, the columns or the classes differ.
    """
    champion = copy.deepcopy(champion)
    both = Pair(
        fresh=last(fresh),
        champion=last(champion),
        _before=champion[:-1] if _is_pipeline(champion) and len(champion.steps) > 1 else None,
        _whole=champion,
    )
    for reason in _reasons(champion, fresh, both, rows, answers):
        raise CannotContinueError(reason)
    return both


def last(estimator: "BaseEstimator") -> "BaseEstimator":
    """Return the estimator at the end of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if _is_pipeline(estimator) else estimator


def _is_pipeline(estimator: "BaseEstimator") -> bool:
    return hasattr(estimator, "steps")


def _reasons(
    champion: "BaseEstimator", fresh: "BaseEstimator", both: Pair, rows: "pd.DataFrame", answers: "Series"
) -> "list[str]":
    reasons = []
    mine, theirs = type(both.fresh), type(both.champion)
    if mine is not theirs or _is_pipeline(champion) != _is_pipeline(fresh):
        reasons.append(f"the champion is a {theirs.__name__}, and the entry point makes a {mine.__name__}")
    elif _is_pipeline(champion) and _unfitted(champion[:-1]) != _unfitted(fresh[:-1]):
        reasons.append("the steps before the estimator are others than the champion's")
    learnt = getattr(champion, "feature_names_in_", None)
    if learnt is not None and list(learnt) != list(rows.columns):
        reasons.append("the champion has learnt from other columns")
    classes = getattr(both.champion, "classes_", None)
    if classes is not None and {*map(name, answers.unique())} != {*map(name, classes)}:
        reasons.append("the target has other values than the champion knows")
    return reasons


def _unfitted(steps: Any) -> Any:
    """Describe steps by what they were made with."""
    import joblib
    from sklearn.base import clone

    return [(name, joblib.hash(clone(step))) for name, step in steps.steps]
