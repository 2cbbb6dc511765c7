"""A metric of one model, part by part of the rows: what it is, and what it is on every resample of them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from model_ci.frozen import dataclass
from model_ci.gates.comparison import FEWEST, Resampling, alone, between, ready
from model_ci.gates.estimate import Estimate, of_resamples
from model_ci.gates.metrics import Metric, measure
from model_ci.gates.outputs import Outputs, Scores
from model_ci.gates.slices import Slice
from model_ci.gates.weighted import Weighted

if TYPE_CHECKING:
    from model_ci.types import Array


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The scores of each part, the metric on each resample, (resamples, parts), and how many units each part rests on.

    Units are the independent rows, or blocks, of the rarest kind that the metric needs. What has no value is NaN. `samples` are
    the answers that were scored, part by part; none of a model that was scored on other rows.
    """

    metric: str
    scores: Sequence[Scores]
    drawn: "Array"
    units: Sequence[int]
    samples: "Sequence[Sample | None]" = ()

    def value(self, part: int) -> float | None:
        """Return the value of a part, None where there is none."""
        return self.scores[part].values.get(self.metric)

    def alone(self, part: int) -> Estimate | None:
        """Return a part's value with its bounds; None where too few resamples have a value."""
        value, sample = self.value(part), self._sample(part)
        if value is None:
            return None
        if sample is None:
            return _of_drawn(value, self.drawn[:, part], self.units[part])
        return alone(sample.metric, sample.outputs, value, self.drawn[:, part], sample.blocks)

    def less(self, other: "Reading", part: int) -> Estimate | None:
        """Return by how much a part's value is above the other model's; None where there is nothing to compare."""
        mine, theirs = self.value(part), other.value(part)
        if mine is None or theirs is None:
            return None
        value, drawn = mine - theirs, self.drawn[:, part] - other.drawn[:, part]
        sample, against = self._sample(part), other._sample(part)
        if sample is None or against is None:
            return _of_drawn(value, drawn, min(self.units[part], other.units[part]))
        return between(sample.metric, sample.outputs, against.outputs, value, drawn, sample.blocks)

    def _sample(self, part: int) -> "Sample | None":
        return self.samples[part] if self.samples else None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A model's answers to the rows of a part, the metric that scores them, and the rows' blocks where they have some."""

    metric: Metric
    outputs: Outputs
    blocks: "Array | None"


def whole(rows: int) -> Slice:
    """Return the one part that is all rows."""
    import numpy as np

    return Slice(name="", rows=np.arange(rows))


def read(  # noqa: PLR0913 - what is read, and on which resamples
    metric: Metric,
    outputs: Outputs | None,
    parts: Sequence[Slice],
    plan: Resampling,
    *,
    resampled: bool = True,
    side: int = 0,
) -> Reading:
    """Read a metric of a model, None when it cannot be asked; every part sees its rows of the same resamples.

    Of two models that are compared, `side` 0 is the challenger and 1 the champion.
    """
    (reading,) = read_all([metric], outputs, parts, plan, resampled=resampled, side=side)
    return reading


def read_all(  # noqa: PLR0913
    metrics: Sequence[Metric],
    outputs: Outputs | None,
    parts: Sequence[Slice],
    plan: Resampling,
    *,
    resampled: bool = True,
    side: int = 0,
) -> list[Reading]:
    """Read several metrics of a model, on resamples that are drawn once for all of them."""
    drawn_outputs = [None if outputs is None else outputs.drawn(part.rows) for part in parts]
    rows = len(outputs.truth) if outputs and resampled else 0
    functions = [_ready(metric, given, side) for metric in metrics for given in drawn_outputs] if rows else []
    drawn = _drawn(functions, [*parts] * len(metrics), plan, rows)
    return [
        Reading(
            metric=metric.name,
            scores=[_measured(metric, given) for given in drawn_outputs],
            drawn=drawn[:, i * len(parts) : (i + 1) * len(parts)],
            units=[
                0 if given is None else metric.basis.support([given], _blocks(plan, part))[0]
                for given, part in zip(drawn_outputs, parts, strict=True)
            ],
            samples=[
                None if given is None else Sample(metric=metric, outputs=given, blocks=_blocks(plan, part))
                for given, part in zip(drawn_outputs, parts, strict=True)
            ],
        )
        for i, metric in enumerate(metrics)
    ]


def _blocks(plan: Resampling, part: Slice) -> "Array | None":
    return None if plan.blocks is None else plan.blocks[part.rows]


def _of_drawn(value: float, drawn: "Array", units: int) -> Estimate | None:
    import numpy as np

    finite = drawn[np.isfinite(drawn)]
    if len(finite) < FEWEST * len(drawn):
        return None
    return of_resamples(value, finite, units, "rows", reach=1.0)  # a gap between rates, if all are the same


def _measured(metric: Metric, outputs: Outputs | None) -> Scores:
    if outputs is None:
        return Scores(values={}, reasons={metric.name: "cannot be asked"})
    return measure({metric.name: metric}, outputs)


def _ready(metric: Metric, outputs: Outputs | None, side: int) -> Weighted:
    import numpy as np

    return ready(metric, outputs, side) if outputs is not None else lambda weights: np.full(len(weights), math.nan)


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
