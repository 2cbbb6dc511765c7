"""Fairness between slices: how often each is predicted positive, and how often rightly and wrongly so.

Demographic parity is the greatest difference between the slices' selection rates; equalized odds the greater of the
differences between their true and their false positive rates. The figures are fairlearn's.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from model_ci.frozen import dataclass
from model_ci.gates.comparison import Resampling
from model_ci.gates.outputs import Outputs, Scores
from model_ci.gates.reading import Reading
from model_ci.gates.slices import Slice
from model_ci.terms import Fairness

if TYPE_CHECKING:
    from model_ci.types import Array

# Metric -> the rates it compares; a rate is the share of positive predictions among rows of one truth, or all.
FAIRNESS: Final[Mapping[str, Mapping[str, int | None]]] = {
    Fairness.DEMOGRAPHIC_PARITY: {"selection rate": None},
    Fairness.EQUALIZED_ODDS: {"true positive rate": 1, "false positive rate": 0},
}


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One rate of every slice, on the holdout (slices,) and on each resample (resamples, slices).

    `units` is how many independent rows, or blocks, each slice's rate is over.
    """

    name: str
    values: "Array"
    drawn: "Array"
    units: Sequence[int]


def problem(metric: str, outputs: Outputs, slices: Sequence[Slice]) -> str | None:
    """Tell why the metric has no value, or None when it has."""
    import numpy as np

    if not np.isin(outputs.labels, (0, 1)).all():
        return "has rows without a predicted class"
    if outputs.probabilities is not None and not np.isfinite(outputs.probabilities).all():
        return "has predictions that are no numbers"
    for name, truth in FAIRNESS[metric].items():
        lacking = [s.name for s in slices if truth is not None and not (outputs.truth[s.rows] == truth).any()]
        if lacking:
            return f"has no {name} in {', '.join(lacking)}, where no row's truth is {truth}"
    return None


def values(metric: str, outputs: Outputs, slices: Sequence[Slice]) -> dict[str, "Array"]:
    """Return each rate of every slice, by fairlearn's MetricFrame."""
    import numpy as np
    import pandas as pd
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    functions = {
        "selection rate": selection_rate,
        "true positive rate": true_positive_rate,
        "false positive rate": false_positive_rate,
    }
    rows = np.concatenate([s.rows for s in slices])
    frame = MetricFrame(
        metrics={name: functions[name] for name in FAIRNESS[metric]},
        y_true=outputs.truth[rows],
        y_pred=outputs.labels[rows],
        # of one row alone an array would lose its only dimension there
        sensitive_features=pd.Series(np.repeat(np.arange(len(slices)), [len(s.rows) for s in slices]), name="slice"),
    )
    return {name: frame.by_group[name].sort_index().to_numpy(dtype=float) for name in FAIRNESS[metric]}


def counted(truth: int | None, outputs: Outputs, part: Slice) -> "Array":
    """Return the rows of a slice that a rate is over."""
    return part.rows if truth is None else part.rows[outputs.truth[part.rows] == truth]


def of_resamples(truth: int | None, outputs: Outputs, slices: Sequence[Slice], weights: "Array") -> Any:
    """Return a rate of every slice on each resample, (resamples, slices)."""
    import numpy as np

    counted = np.ones(len(outputs.truth)) if truth is None else (outputs.truth == truth).astype(float)
    chosen = counted * (outputs.labels == 1)
    with np.errstate(invalid="ignore"):  # a resample may have no row that counts
        columns = [(weights[:, s.rows] @ chosen[s.rows]) / (weights[:, s.rows] @ counted[s.rows]) for s in slices]
    return np.stack(columns, axis=1)


def rates(metric: str, outputs: Outputs | None, parts: Sequence[Slice], plan: Resampling) -> list[Rate] | str:
    """Return the rates that the metric compares, or why there are none."""
    import numpy as np

    if outputs is None:
        return "cannot be asked"
    if not parts:
        return "has no slice with enough rows"
    if why := problem(metric, outputs, parts):
        return why
    now = values(metric, outputs, parts)
    drawn: dict[str, list[Any]] = {name: [] for name in now}
    for weights in plan.weights(len(outputs.truth)):
        for name, truth in FAIRNESS[metric].items():
            drawn[name].append(of_resamples(truth, outputs, parts, weights))
    units = {
        name: [plan.units(counted(truth, outputs, part)) for part in parts] for name, truth in FAIRNESS[metric].items()
    }
    return [Rate(name=name, values=now[name], drawn=np.concatenate(drawn[name]), units=units[name]) for name in now]


def gap(metric: str, measured: list[Rate] | str, plan: Resampling) -> Reading:
    """Return the widest gap of any of the rates; without them, none for the reason that is given."""
    import numpy as np

    if isinstance(measured, str):
        drawn, scores, fewest = np.full(plan.resamples, np.nan), Scores(values={}, reasons={metric: measured}), 0
    else:
        value = max(float(rate.values.max() - rate.values.min()) for rate in measured)
        drawn = np.max([rate.drawn.max(axis=1) - rate.drawn.min(axis=1) for rate in measured], axis=0)
        scores, fewest = Scores(values={metric: value}, reasons={}), min(min(rate.units) for rate in measured)
    return Reading(metric=metric, scores=[scores], drawn=drawn[:, None], units=[fewest])
