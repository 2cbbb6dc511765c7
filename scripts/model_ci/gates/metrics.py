"""Metrics by name: scikit-learn's scorers, or the user's own function."""

import difflib
import inspect
import math
import numbers
import warnings
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.gates.basis import Basis, basis
from model_ci.gates.calibration import CALIBRATION, EXPECTED
from model_ci.gates.confusion import formula
from model_ci.gates.fitness import NoValueError, needed_classes, unfit
from model_ci.gates.outputs import Outputs, Scores, read_only
from model_ci.gates.weighted import (
    Smoothing,
    Weighted,
    average_precision,
    by_counts,
    by_rows,
    of_each,
    one_by_one,
    r2,
    roc_auc,
    row_influence,
    row_losses,
)
from model_ci.types import UserFunction

if TYPE_CHECKING:
    from model_ci.types import Array


# Not of rows: of the model itself, or of the data that it was trained on.
MEASURED: Final = ("latency_ms", "size_mb", "data_age_days")
_NO_PROBABILITIES: Final = "the model gives no probabilities; give it predict_proba, or choose a metric of labels"
_REGRESSION: Final = frozenset(
    "d2_absolute_error_score explained_variance max_error mean_absolute_error mean_absolute_percentage_error "
    "mean_gamma_deviance mean_poisson_deviance mean_squared_error mean_squared_log_error median_absolute_error r2 "
    "root_mean_squared_error root_mean_squared_log_error".split()
)
_CLUSTERING: Final = frozenset(
    "adjusted_mutual_info_score adjusted_rand_score completeness_score fowlkes_mallows_score homogeneity_score "
    "mutual_info_score normalized_mutual_info_score rand_score v_measure_score".split()
)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A named function of Outputs, the same for many resamples at once, and what it rests on.

    `greater_is_better` is None where only the user knows. `smoothed` is what `weighted` is for one side of a comparison, where
    resamples alone would take for impossible what is rare. `calibrated`: the expected calibration error, whose resamples are
    biased; it has bounds of its own.
    """

    name: str
    function: Callable[[Outputs], float]
    weighted: Callable[[Outputs], Weighted]
    greater_is_better: bool | None
    basis: Basis = field(default_factory=lambda: basis("", "regression", lambda _: None))
    smoothed: Callable[[Outputs, int], Weighted] | None = None
    calibrated: bool = False


def available(task: str) -> dict[str, str]:
    """Return scikit-learn's metrics for a task: our name (without `neg_`) -> name of the scorer."""
    from sklearn.metrics import get_scorer_names

    names = {name.removeprefix("neg_"): name for name in get_scorer_names()}
    offered = _REGRESSION if task == "regression" else names.keys() - _REGRESSION - _CLUSTERING
    return {name: names[name] for name in sorted(offered) if name in names}


def resolve(name: str, task: str, load: Callable[[str], UserFunction]) -> Metric:
    """Find a metric by its name.

    `load` turns `module:function` into the function, called as f(y_true, y_pred), where y_pred is the probability
    of the positive class (binary), the matrix of probabilities (multiclass) or the prediction (regression).
    Raises ConfigError for a name that the task does not have.
    """
    if ":" in name:
        return _own(name, task, load(name))
    if name in CALIBRATION and task in CALIBRATION[name][2]:
        return _calibration(name, task)
    names = available(task)
    if (plain := name.removeprefix("neg_")) != name and plain in names:
        raise ConfigError(
            f"evaluate: {name!r} is {plain} with its sign turned round; use {plain}, of which less is better"
        )
    if name not in names:
        near = difflib.get_close_matches(name, [*names, *_calibrations(task)], n=1, cutoff=0.6)
        hint = (
            f"did you mean '{near[0]}'?"
            if near
            else f"allowed for {task}: {', '.join((*MEASURED, *_calibrations(task), *names))}"
        )
        raise ConfigError(f"evaluate: {name!r} is no metric for {task}; {hint}")
    metric = _scikit_learn(name, names[name], task)
    if problem := unfit(metric.function, metric.greater_is_better, task):
        others = [other for other in names if other.startswith(f"{name}_") and not other.endswith("_samples")]
        instead = f"; use {', '.join(others)}" if others else ""
        raise ConfigError(f"evaluate: {name!r} {problem}{instead}")
    return metric


def predicted(outputs: Outputs, task: str) -> "Array":
    """Return a copy of what a user's own function is given of a model: probabilities, or the labels where there are none."""
    return read_only(outputs.labels if outputs.probabilities is None else _scores(outputs, task))


def _plain_number(value: object) -> float:
    """Take what a user's own metric returned; nothing but a real number is a value."""
    import numpy as np

    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise NoValueError(f"returned {value!r:.80} ({type(value).__name__}); return a number")
    return float(value)


def measure(metrics: Mapping[str, Metric], outputs: Outputs) -> Scores:
    """Return each metric's value and, where there is none, None and the reason.

    NaN and infinity are no values: they are given as None with their reason. A model that answers with them has no
    values at all, as some metrics would not notice.
    """
    if not _answered(outputs):
        return Scores(
            values=dict.fromkeys(metrics), reasons=dict.fromkeys(metrics, "has predictions that are no numbers")
        )
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name, metric in metrics.items():
        try:
            with warnings.catch_warnings(action="ignore"):
                value = float(metric.function(outputs))
        except NoValueError as error:
            values[name], reasons[name] = None, str(error)
            continue
        except Exception as error:  # noqa: BLE001 - whatever a metric raises, it gives no value
            values[name], reasons[name] = None, f"{type(error).__name__}: {error}".splitlines()[0]
            continue
        values[name] = value if math.isfinite(value) else None
        if not math.isfinite(value):
            reasons[name] = f"is {value}"
    return Scores(values=values, reasons=reasons)


def _answered(outputs: Outputs) -> bool:
    import numpy as np

    answers = outputs.labels if outputs.probabilities is None else outputs.probabilities
    return bool(np.isfinite(answers).all())


def _own(name: str, task: str, function: UserFunction) -> Metric:
    def call(outputs: Outputs) -> float:
        try:
            return _plain_number(function(read_only(outputs.truth), read_only(_scores(outputs, task))))
        except SystemExit as error:  # it would end the run, perhaps with success
            raise NoValueError(f"ended the process with {error.code!r}; return a number") from None

    return Metric(
        name=name,
        function=call,
        weighted=lambda outputs: one_by_one(call, outputs),
        greater_is_better=None,
        basis=basis(name, task, lambda _: None),
    )


def _calibrations(task: str) -> list[str]:
    return [name for name, (_, _, tasks) in CALIBRATION.items() if task in tasks]


def _calibration(name: str, task: str) -> Metric:
    function, greater, _ = CALIBRATION[name]

    def call(outputs: Outputs) -> float:
        if outputs.probabilities is None:
            raise NoValueError(_NO_PROBABILITIES)
        return function(outputs.truth, outputs.probabilities)

    return Metric(
        name=name,
        function=call,
        weighted=lambda outputs: one_by_one(call, outputs),
        greater_is_better=greater,
        basis=basis(name, task, lambda _: None),
        calibrated=name == EXPECTED,
    )


def _scikit_learn(name: str, scorer_name: str, task: str) -> Metric:
    from sklearn.metrics import get_scorer

    scorer = get_scorer(scorer_name)
    score, keywords = scorer._score_func, dict(scorer._kwargs)
    parameters = inspect.signature(score).parameters
    by_label = scorer._response_method == "predict"
    needs = needed_classes(name, task)
    by_counts_alone = by_label and task != "regression" and "sample_weight" in parameters
    counted = formula(name, task) or of_each(partial(score, **keywords))
    each = needs is not None or (task == "binary" and name != "accuracy")

    def call(outputs: Outputs) -> float:
        extra = keywords
        if needs and (absent := needs.absent(outputs)):
            raise NoValueError(absent)
        if by_label:
            predicted = outputs.labels
        else:
            predicted = _scores(outputs, task)
            if task == "multiclass" and "labels" in parameters:
                extra = keywords | {"labels": range(predicted.shape[1])}
        return float(score(outputs.truth, predicted, **extra))

    def weighted(outputs: Outputs) -> Weighted:
        values = resampled(outputs)
        return needs.only(outputs, values) if needs and name != "roc_auc" else values  # which has its own NaN

    def smoothed(outputs: Outputs, side: int) -> Weighted:
        values = by_counts(outputs, counted, Smoothing(side=side, each=each))
        return needs.only(outputs, values) if needs else values

    def resampled(outputs: Outputs) -> Weighted:
        if losses := row_losses(name, outputs):
            return by_rows(*losses)
        if name == "r2":
            return r2(outputs.truth, outputs.labels)
        if name == "roc_auc" and task == "binary":
            return roc_auc(outputs.truth, _scores(outputs, task))
        if name == "average_precision" and task == "binary":
            return average_precision(outputs.truth, _scores(outputs, task))
        if by_counts_alone:
            return by_counts(outputs, counted)
        return one_by_one(call, outputs)

    return Metric(
        name=name,
        function=call,
        weighted=weighted,
        greater_is_better=scorer._sign > 0,
        basis=basis(name, task, partial(row_influence, name)),
        smoothed=smoothed if by_counts_alone else None,
    )


def _scores(outputs: Outputs, task: str) -> Any:
    if task == "regression":
        return outputs.labels
    if outputs.probabilities is None:
        raise NoValueError(_NO_PROBABILITIES)
    return outputs.probabilities[:, 1] if task == "binary" else outputs.probabilities
