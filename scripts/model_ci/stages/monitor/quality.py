"""How good the answers were, as far as is known by now: the log's rows with their outcomes, span by span."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from model_ci.frozen import dataclass
from model_ci.gates.comparison import Resampling
from model_ci.gates.metrics import Metric
from model_ci.gates.outputs import Outputs
from model_ci.gates.reading import read, whole
from model_ci.production.truth import classes
from model_ci.serving import classes as naming
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

    parts = []
    for first, last in spans.each():
        rows = frame.filter((pl.col("_time") >= first) & (pl.col("_time") < last))
        parts.append(Span(begin=first, end=last, predicted=rows.height, rows=rows.drop_nulls(truth)))
    return parts


def named(frame: "pl.DataFrame", truth: str, task: str) -> list[str]:
    """Return the names of a classifier's classes in the model's order; none for numbers, or without a row.

    Raises ConfigError when the rows do not name as many as the model has.
    """
    if task == "regression" or frame.is_empty():
        return []
    many = sum(name.startswith("_probability_") for name in frame.columns)
    if not many:
        many = len({naming.name(v) for name in ("_prediction", truth) for v in frame[name].drop_nulls().unique()})
    return classes(frame, truth, many, _HERE)


def outputs(rows: "pl.DataFrame", truth: str, known: Sequence[str], positive: int | None) -> Outputs:
    """Return what was predicted beside what was true, as metrics take it.

    `known` are the classes in the model's order, none for numbers; `positive` is the position of the positive one of two.
    """
    import numpy as np

    if not known:
        predicted, real = (rows[name].cast(float).to_numpy() for name in ("_prediction", truth))
        return Outputs(truth=real, labels=predicted, probabilities=None)
    positions = list(range(len(known))) if positive is None else [1 - positive, positive]
    ordered = [known[place] for place in positions]
    predicted, real = (naming.codes(rows[name], ordered) for name in ("_prediction", truth))
    # A prediction that is none of the classes is no number, and no metric passes with it.
    labels = np.where(predicted < 0, np.nan, predicted) if (predicted < 0).any() else predicted
    columns = [name for name in rows.columns if name.startswith("_probability_")]
    chances = rows.select(columns).to_numpy().astype(float)[:, positions] if columns else None
    return Outputs(truth=real, labels=labels, probabilities=chances)


def interval(metric: Metric, answers: Outputs, plan: Resampling, confidence: float) -> tuple[float, float] | None:
    """Return the bounds that the metric lies above, and below, each with this confidence; None where there are none."""
    estimate = read(metric, answers, [whole(len(answers.truth))], plan).alone(0)
    if estimate is None or estimate.too_few or estimate.lacking_resamples(confidence):
        return None
    return estimate.interval(confidence)
