"""A metric of one model, part by part of the rows: what it is, and what it is on every resample of them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from model_ci.frozen import dataclass
from model_ci.gates.comparison import FEWEST, Difference, Resampling, ready
from model_ci.gates.metrics import Metric, measure
from model_ci.gates.outputs import Outputs, Scores
from model_ci.gates.slices import Slice
from model_ci.gates.weighted import Weighted

if TYPE_CHECKING:
    from model_ci.types import Array


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The scores of each part, the metric on each resample, (resamples, parts), and how many units each part has.

    Units are the independent rows, or blocks. What has no value is NaN.
    """

    metric: str
    scores: Sequence[Scores]
    drawn: "Array"
    units: Sequence[int]

    def value(self, part: int) -> float | None:
        """Return the value of a part, None where there is none."""
        return self.scores[part].values.get(self.metric)

    def alone(self, part: int) -> Difference | None:
        """Return a part's value with its resamples, as a difference from nothing; None where too few have a value."""
        return _resampled(self.value(part), self.drawn[:, part], self.units[part])

    def less(self, other: "Reading", part: int) -> Difference | None:
        """Return by how much a part's value is above the other model's; None where there is nothing to compare."""
        mine, theirs = self.value(part), other.value(part)
        value = None if mine is None or theirs is None else mine - theirs
        units = min(self.units[part], other.units[part])
        return _resampled(value, self.drawn[:, part] - other.drawn[:, part], units)


def whole(rows: int) -> Slice:
    """Return the one part that is all rows."""
    import numpy as np

    return Slice(name="", rows=np.arange(rows))


def read(
    metric: Metric, outputs: Outputs | None, parts: Sequence[Slice], plan: Resampling, *, resampled: bool = True
) -> Reading:
    """Read a metric of a model, None when it cannot be asked; every part sees its rows of the same resamples."""
    (reading,) = read_all([metric], outputs, parts, plan, resampled=resampled)
    return reading


def read_all(
    metrics: Sequence[Metric],
    outputs: Outputs | None,
    parts: Sequence[Slice],
    plan: Resampling,
    *,
    resampled: bool = True,
) -> list[Reading]:
    """Read several metrics of a model, on resamples that are drawn once for all of them."""
    drawn_outputs = [None if outputs is None else outputs.drawn(part.rows) for part in parts]
    rows = len(outputs.truth) if outputs and resampled else 0
    functions = [_ready(metric, given) for metric in metrics for given in drawn_outputs] if rows else []
    drawn = _drawn(functions, [*parts] * len(metrics), plan, rows)
    return [
        Reading(
            metric=metric.name,
            scores=[_measured(metric, given) for given in drawn_outputs],
            drawn=drawn[:, i * len(parts) : (i + 1) * len(parts)],
            units=[plan.units(part.rows) for part in parts],
        )
        for i, metric in enumerate(metrics)
    ]


def _resampled(value: float | None, drawn: "Array", units: int) -> Difference | None:
    import numpy as np

    finite = drawn[np.isfinite(drawn)]
    if value is None or len(finite) < FEWEST * len(drawn):
        return None
    return Difference(value=value, resampled=finite, drawn_from=units)


def _measured(metric: Metric, outputs: Outputs | None) -> Scores:
    if outputs is None:
        return Scores(values={}, reasons={metric.name: "cannot be asked"})
    return measure({metric.name: metric}, outputs)


def _ready(metric: Metric, outputs: Outputs | None) -> Weighted:
    import numpy as np

    return ready(metric, outputs) if outputs is not None else lambda weights: np.full(len(weights), math.nan)


def _drawn(functions: Sequence[Weighted], parts: Sequence[Slice], plan: Resampling, rows: int) -> "Array":
    import numpy as np

    if not functions:
        return np.full((plan.resamples, len(parts)), math.nan)
    return np.concatenate(
        [
            np.stack([f(weights[:, part.rows]) for f, part in zip(functions, parts, strict=True)], axis=1)
            for weights in plan.weights(rows)
        ]
    )
