"""How good the answers were, as far as is known by now: the log's rows with their outcomes, span by span."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from model_ci.gates.comparison import FEWEST, Resampling, ready
from model_ci.gates.metrics import Metric
from model_ci.gates.outputs import Outputs
from model_ci.production.truth import classes
from model_ci.stages.monitor.window import Spans

if TYPE_CHECKING:
    import polars as pl

_HERE = "monitor.quality"


@dataclass(frozen=True, kw_only=True)
class Span:
    """The predicted rows from `begin` to before `end`, and those of them whose outcome is known."""

    begin: datetime
    end: datetime
    predicted: int
    rows: "pl.DataFrame"


def cut(frame: "pl.DataFrame", truth: str, spans: Spans) -> list[Span]:
    """Cut rows into spans, oldest first."""
    import polars as pl

    found = []
    for first, last in spans.each():
        rows = frame.filter((pl.col("_time") >= first) & (pl.col("_time") < last))
        found.append(Span(begin=first, end=last, predicted=rows.height, rows=rows.drop_nulls(truth)))
    return found


def named(frame: "pl.DataFrame", truth: str, task: str) -> list[object]:
    """Return the classes of a classifier, sorted; none for numbers, or without a row.

    Raises ConfigError when the rows do not name as many as the model has.
    """
    if task == "regression" or frame.is_empty():
        return []
    many = sum(name.startswith("_probability_") for name in frame.columns)
    seen = set(frame["_prediction"].drop_nulls()) | set(frame[truth].drop_nulls())
    return classes(frame, truth, many or len(seen), _HERE)


def outputs(rows: "pl.DataFrame", truth: str, known: Sequence[object]) -> Outputs:
    """Return what was predicted beside what was true, as metrics take it; `known` are the classes, none for numbers."""
    import numpy as np

    if not known:
        said, real = (rows[name].cast(float).to_numpy() for name in ("_prediction", truth))
        return Outputs(truth=real, labels=said, probabilities=None)
    place = {name: float(i) for i, name in enumerate(known)}
    # A prediction that is none of the classes is no number, and no metric passes with it.
    said = np.array([place.get(value, np.nan) for value in rows["_prediction"]])
    real = np.array([place[value] for value in rows[truth]]).astype(int)
    columns = [name for name in rows.columns if name.startswith("_probability_")]
    chances = rows.select(columns).to_numpy().astype(float) if columns else None
    return Outputs(truth=real, labels=said if np.isnan(said).any() else said.astype(int), probabilities=chances)


def interval(metric: Metric, said: Outputs, plan: Resampling, confidence: float) -> tuple[float, float] | None:
    """Return the bounds that the metric lies above, and below, each with this confidence; None where there are none."""
    import numpy as np

    ask = ready(metric, said)
    drawn = np.concatenate([ask(weights) for weights in plan.weights(len(said.truth))])
    finite = drawn[np.isfinite(drawn)]
    if len(finite) < FEWEST * len(drawn):
        return None
    low, high = np.quantile(finite, [1 - confidence, confidence], method="weibull")
    return float(low), float(high)
