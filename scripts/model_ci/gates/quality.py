"""How good a model was on rows that it did not learn from: small, without any of the rows, to be held to later."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from model_ci.config import Gate
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.gates import fairness, slices
from model_ci.gates.comparison import Resampling
from model_ci.gates.estimate import Difference, Estimate
from model_ci.gates.fairness import FAIRNESS
from model_ci.gates.metrics import Metric
from model_ci.gates.outputs import Outputs, Scores
from model_ci.gates.reading import Reading, read, read_all, whole

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.types import Settings

FOLDER: Final = "quality"  # of the run
FILE: Final = "quality.json"
VERSION: Final = 1
_ONE_DEVIATION: Final = 0.8413  # of a normal variable lies below one above its mean
RESAMPLES: Final = 200  # which tell a standard deviation to a twentieth


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A metric on all rows, or on a slice; of fairness, the gap between the slices.

    `deviation` is that of the value over samples like these rows, `units` how many independent rows, or blocks, it is of.
    Where there is no value, `problem` tells why.
    """

    metric: str
    by: str | None
    slice: str | None
    rows: int
    units: int
    value: float | None
    deviation: float | None
    interval: tuple[float, float] | None
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What was measured of a model, and when it was `made`."""

    figures: Sequence[Figure]
    made: "Settings"

    def read(self, metric: str, by: str | None, parts: Sequence[str | None], plan: Resampling) -> Reading:
        """Return a metric of some slices as if resampled anew: normally around its value, with its deviation.

        It hangs together with no other model's resamples, as it is of other rows.
        """
        import numpy as np
        from scipy.special import ndtri

        known = {f.slice: f for f in self.figures if (f.metric, f.by) == (metric, by)}
        figures = [known.get(part) for part in parts]
        values = [math.nan if f is None or f.value is None else f.value for f in figures]
        deviations = [math.nan if f is None or f.deviation is None else f.deviation for f in figures]
        # The normal's own quantiles, shuffled: as many drawn by chance would be off by themselves.
        quantiles = ndtri((np.arange(plan.resamples) + 0.5) / plan.resamples)
        noise = np.random.default_rng(plan.seed).permuted(np.tile(quantiles[:, None], len(parts)), axis=0)
        return Reading(
            metric=metric,
            scores=[_scores(metric, part, f) for part, f in zip(parts, figures, strict=True)],
            drawn=np.array(values) + np.array(deviations) * noise,
            units=[f.units if f else 0 for f in figures],
        )

    def scores(self, metrics: Sequence[str]) -> Scores:
        """Return the values of metrics on all rows."""
        known = {f.metric: f for f in self.figures if f.by is None}
        scores = [_scores(name, None, known.get(name)) for name in metrics]
        return Scores(
            values={name: s.values.get(name) for name, s in zip(metrics, scores, strict=True)},
            reasons={name: reason for s in scores for name, reason in s.reasons.items()},
        )

    def to_bytes(self) -> bytes:
        """Write it as JSON."""
        record = {"schema_version": VERSION, "made": dict(self.made), "figures": [asdict(f) for f in self.figures]}
        return json.dumps(record, indent=1, allow_nan=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> "Quality":
        """Read what `to_bytes` wrote; raise ConfigError when it is none, or of another version."""
        try:
            record = json.loads(content)
            if (version := record["schema_version"]) == VERSION:
                return cls(figures=[Figure(**figure) for figure in record["figures"]], made=record["made"])
            wrong = f"it is of version {version}"
        except (ValueError, KeyError, TypeError) as error:
            wrong = str(error)
        raise ConfigError(
            f"{where}: its quality cannot be read: {wrong}; register a model with this version of model-ci"
        )


def measure(  # noqa: PLR0913, PLR0917 - what is asked for, and all that it is measured on
    metrics: Mapping[str, Metric], gates: Sequence[Gate], rows: "pd.DataFrame", outputs: Outputs, plan: Resampling,
    confidence: float,
) -> list[Figure]:  # fmt: skip
    """Measure each metric on all rows, and those of gates with `by` on each slice, small ones included."""
    figures: dict[tuple[str, str | None, str | None], Figure] = {}
    for reading, by, parts in _readings(metrics, gates, rows, outputs, plan):
        for i, (name, many) in enumerate(parts):
            figures.setdefault((reading.metric, by, name), _figure(reading, i, by, name, many, confidence))
    return [*figures.values()]


def _readings(
    metrics: Mapping[str, Metric], gates: Sequence[Gate], rows: "pd.DataFrame", outputs: Outputs, plan: Resampling
) -> Iterator[tuple[Reading, str | None, list[tuple[str | None, int]]]]:
    for reading in read_all([*metrics.values()], outputs, [whole(len(rows))], plan):
        yield reading, None, [(None, len(rows))]
    for gate in gates:
        if not gate.by or not set(gate.columns) <= set(rows.columns):
            continue
        parts = slices.cut(rows, gate.columns, gate.bins)
        if gate.metric in FAIRNESS:
            enough = [part for part in parts if len(part.rows) >= gate.min_rows]
            rates = fairness.rates(gate.metric, outputs, enough, plan)
            yield fairness.gap(gate.metric, rates, plan), gate.sliced_by, [(None, len(rows))]
        else:
            named: list[tuple[str | None, int]] = [(part.name, len(part.rows)) for part in parts]
            yield read(metrics[gate.metric], outputs, parts, plan), gate.sliced_by, named


def _figure(  # noqa: PLR0913, PLR0917 - what a figure is made of
    reading: Reading, part: int, by: str | None, name: str | None, rows: int, confidence: float
) -> Figure:
    drawn = reading.alone(part)
    return Figure(
        metric=reading.metric,
        by=by,
        slice=name,
        rows=rows,
        units=reading.units[part],
        value=reading.value(part),
        deviation=None if drawn is None else _deviation(drawn),
        interval=None if drawn is None else drawn.interval(confidence),
        problem=reading.scores[part].reasons.get(reading.metric),
    )


def _deviation(estimate: Estimate) -> float:
    """Return the standard deviation: that of the resamples, else what the bounds of one are apart."""
    if isinstance(estimate, Difference):
        return float(estimate.resampled.std(ddof=1))
    low, high = estimate.interval(_ONE_DEVIATION)
    return (high - low) / 2


def _scores(metric: str, part: str | None, figure: Figure | None) -> Scores:
    if figure is None:
        where = f" in {part}" if part else ""
        return Scores(values={}, reasons={metric: f"was not judged by {metric}{where} when it was evaluated"})
    reasons = {} if figure.problem is None else {metric: figure.problem}
    return Scores(values={metric: figure.value}, reasons=reasons)
