"""Gates by slices: every condition in every slice that is large enough, and the gap between slices."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from model_ci.config import Gate
from model_ci.gates import condition, fairness
from model_ci.gates.comparison import FEWEST, Difference, Resampling, ready
from model_ci.gates.condition import ABSOLUTE, RELATIVE, ROUNDING, Comparisons, Outcome
from model_ci.gates.fairness import FAIRNESS, Rate
from model_ci.gates.gap import widest
from model_ci.gates.metrics import Metric, measure
from model_ci.gates.outputs import Outputs, Scores
from model_ci.gates.slices import Slice
from model_ci.gates.weighted import Weighted

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORST_FIRST: Final = ("failed", "inconclusive", "passed", "no champion")


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The outputs of both models on the same rows, None where one cannot be asked, and how sure to be.

    `first` tells that there is no champion at all.
    """

    challenger: Outputs | None
    champion: Outputs | None
    first: bool
    plan: Resampling
    confidence: float


def judge(
    gate: Gate, metric: Metric | None, slices: Sequence[Slice], sides: Sides, lower_is_better: Collection[str] = ()
) -> list[Outcome]:
    """Judge every condition of a gate with `by`; `metric` is None for a metric of fairness.

    A slice below the gate's `min_rows` is too small: it is shown, and counts neither as passed nor as failed. Where
    all are, nothing was judged, and the gate fails.
    """
    small = [_too_small(gate, s) for s in slices if len(s.rows) < gate.min_rows]
    enough = [s for s in slices if len(s.rows) >= gate.min_rows]
    named = [c for c in (*ABSOLUTE, *RELATIVE, "max_gap") if getattr(gate, c) is not None]
    starts = [condition.opened(gate, c, lower_is_better) for c in named]
    if not enough:
        return [fold(start, small) for start in starts]
    if metric is None:
        return [replace(o, slices=(*o.slices, *small)) for o in _fair(starts, enough, sides)]
    readings = _read(gate, metric, enough, sides)
    outcomes = []
    for start in starts:
        if start.condition == "max_gap":
            outcomes.append(_gap(start, readings, sides.confidence, small))
        else:
            outcomes.append(fold(start, [*(_in_slice(start, r, sides.confidence) for r in readings), *small]))
    return outcomes


def fold(whole: Outcome, slices: Sequence[Outcome]) -> Outcome:
    """Return a condition as that of its worst slice: one slice that fails it fails it."""
    judged = [s for s in slices if s.state != "too small"]
    small = len(slices) - len(judged)
    if not judged:
        reason = (
            f"all {small} slices are too small to judge; lower the gate's min_rows, or name columns with fewer values"
        )
        return replace(whole, slices=tuple(slices), state="failed", reason=reason)
    worst = min(judged, key=lambda s: (_WORST_FIRST.index(s.state), _margin(s)))
    alike = sum(s.state == worst.state for s in judged)
    count = f"{alike} of {len(judged)} slices {worst.state}" + (f", {small} too small" if small else "")
    return replace(worst, slices=tuple(slices), reason=f"{worst.slice}: {worst.reason} ({count})")


def _too_small(gate: Gate, part: Slice) -> Outcome:
    reason = f"{len(part.rows)} rows, {gate.min_rows} are needed"
    return Outcome(
        metric=gate.metric, condition="min_rows", limit=gate.min_rows, state="too small", reason=reason,
        slice=part.name, rows=len(part.rows),
    )  # fmt: skip


def _margin(outcome: Outcome) -> float:
    """Return a number that is less, the worse the slice stands."""
    if outcome.condition in RELATIVE:
        return -math.inf if outcome.difference is None else outcome.sign * outcome.difference
    if outcome.challenger is None:
        return -math.inf
    return -outcome.challenger if outcome.condition == "max" else outcome.challenger


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """One slice, measured: the values of both models, the challenger's on each resample, and the differences.

    `units` is how many independent rows, or blocks, the slice has.
    """

    part: Slice
    challenger: Scores
    champion: Scores | None
    drawn: "NDArray[Any]"
    compared: Comparisons | None
    units: int


def _read(gate: Gate, metric: Metric, slices: Sequence[Slice], sides: Sides) -> list[_Reading]:
    mine = [_outputs_of(sides.challenger, s) for s in slices]
    theirs = [_outputs_of(sides.champion, s) for s in slices]
    relative = any(getattr(gate, c) is not None for c in RELATIVE) and sides.champion is not None
    asked = [_ready(metric, o) for o in mine], [_ready(metric, o) for o in theirs] if relative else []
    drawn = [_resample(functions, slices, sides) for functions in asked]
    readings = []
    for i, part in enumerate(slices):
        scores = _measured(metric, mine[i])
        against = None if sides.first else _measured(metric, theirs[i])
        compared, units = None, sides.plan.units(part.rows)
        if relative and against is not None:
            found = _difference(metric.name, scores, against, drawn[0][:, i] - drawn[1][:, i], units)
            compared = Comparisons(differences=found, rows=len(part.rows), confidence=sides.confidence)
        mine_drawn = drawn[0][:, i]
        readings.append(
            _Reading(part=part, challenger=scores, champion=against, drawn=mine_drawn, compared=compared, units=units)
        )
    return readings


def _outputs_of(outputs: Outputs | None, part: Slice) -> Outputs | None:
    return None if outputs is None else outputs.drawn(part.rows)


def _measured(metric: Metric, outputs: Outputs | None) -> Scores:
    if outputs is None:
        return Scores(values={}, reasons={metric.name: "cannot be asked"})
    return measure({metric.name: metric}, outputs)


def _ready(metric: Metric, outputs: Outputs | None) -> Weighted:
    import numpy as np

    return ready(metric, outputs) if outputs is not None else lambda weights: np.full(len(weights), math.nan)


def _resample(functions: Sequence[Weighted], slices: Sequence[Slice], sides: Sides) -> "NDArray[Any]":
    """Return (resamples, slices) of each slice's metric; every slice sees its part of the same resamples."""
    import numpy as np

    if not functions or sides.challenger is None:
        return np.full((sides.plan.resamples, len(slices)), math.nan)
    return np.concatenate(
        [
            np.stack([f(weights[:, s.rows]) for f, s in zip(functions, slices, strict=True)], axis=1)
            for weights in sides.plan.weights(len(sides.challenger.truth))
        ]
    )


def _difference(name: str, mine: Scores, theirs: Scores, drawn: "NDArray[Any]", units: int) -> Mapping[str, Difference]:
    import numpy as np

    value, against = mine.values.get(name), theirs.values.get(name)
    finite = drawn[np.isfinite(drawn)]
    if value is None or against is None or len(finite) < FEWEST * len(drawn):
        return {}
    return {name: Difference(value=value - against, resampled=finite, drawn_from=units)}


def _in_slice(start: Outcome, reading: _Reading, confidence: float) -> Outcome:
    outcome = condition.judged(start, reading.challenger, reading.champion, reading.compared)
    outcome = replace(outcome, slice=reading.part.name, rows=len(reading.part.rows))
    if outcome.condition in ABSOLUTE and outcome.challenger is not None:
        return _bounded(outcome, reading.drawn, reading.units, confidence)
    return outcome


def _bounded(outcome: Outcome, drawn: "NDArray[Any]", units: int, confidence: float) -> Outcome:
    """Add the bounds of the slice's own value, and the chance that its true value keeps the limit."""
    import numpy as np

    finite = drawn[np.isfinite(drawn)]
    if len(finite) < FEWEST * len(drawn):
        return replace(outcome, state="failed", reason="too few resamples have a value; what is not sure does not pass")
    value = Difference(value=float(outcome.challenger or 0), resampled=finite, drawn_from=units)
    sign = 1 if outcome.condition == "min" else -1
    chance = value.chance_above(sign * float(outcome.limit or 0) - ROUNDING, sign)
    return replace(outcome, interval=value.interval(confidence), chance=chance)


def _gap(start: Outcome, readings: Sequence[_Reading], confidence: float, small: Sequence[Outcome]) -> Outcome:
    import numpy as np

    shown = [_shown(start, r.part, r.challenger.values.get(start.metric)) for r in readings]
    start = replace(start, slices=(*shown, *small))
    lacking = [s.slice for s in shown if s.challenger is None]
    if lacking:
        why = readings[next(i for i, s in enumerate(shown) if s.challenger is None)].challenger
        reason = f"{lacking[0]}: {why.reasons.get(start.metric, 'no value')}; what is not there does not pass"
        return replace(start, reason=reason)
    rate = Rate(
        name=start.metric,
        values=np.array([s.challenger for s in shown], dtype=float),
        drawn=np.stack([r.drawn for r in readings], axis=1),
        units=[r.units for r in readings],
    )
    return _of_rates(start, [rate], [r.part for r in readings], confidence)


def _shown(start: Outcome, part: Slice, value: float | None, rate: str = "") -> Outcome:
    name = f"{part.name}: {rate}" if rate else part.name
    return replace(
        start, slice=name, rows=len(part.rows), challenger=value, state="measured", reason="compared with the others"
    )


def _of_rates(start: Outcome, rates: Sequence[Rate], parts: Sequence[Slice], confidence: float) -> Outcome:
    """Judge the widest gap of any of the rates against the limit."""
    if len(parts) < 2:
        reason = f"{parts[0].name} is the only slice with enough rows, so that there is nothing to compare it with"
        return replace(start, reason=reason)
    limit = float(start.limit or 0)
    gaps = [widest(rate.values, rate.drawn, rate.units, limit + ROUNDING, confidence) for rate in rates]
    rate, gap = max(zip(rates, gaps, strict=True), key=lambda both: both[1].value)
    of = f" in {rate.name}" if len(rates) > 1 else ""
    holds = gap.value <= limit + ROUNDING
    between = f"{gap.value:.6g} between {parts[gap.low].name} and {parts[gap.high].name}{of}, {limit:g} allowed"
    start = replace(start, challenger=gap.value, interval=gap.interval, slice=parts[gap.low].name)
    if gap.chance is None:
        return replace(start, reason="too few resamples have a value; what is not sure does not pass")
    chances = [g.chance for g in gaps if g.chance is not None]
    chance = min(1.0, len(rates) * min(chances))
    return replace(start, state="passed" if holds else "failed", reason=between, chance=chance)


def _fair(starts: Sequence[Outcome], parts: Sequence[Slice], sides: Sides) -> list[Outcome]:
    mine = _rates(starts[0].metric, sides.challenger, parts, sides)
    theirs = None if sides.first else _rates(starts[0].metric, sides.champion, parts, sides)
    return [_fair_by(start, mine, theirs, parts, sides) for start in starts]


def _rates(metric: str, outputs: Outputs | None, parts: Sequence[Slice], sides: Sides) -> list[Rate] | str:
    """Return the rates that the metric compares, or why there are none."""
    import numpy as np

    if outputs is None:
        return "cannot be asked"
    if found := fairness.problem(metric, outputs, parts):
        return found
    values = fairness.values(metric, outputs, parts)
    drawn: dict[str, list[Any]] = {name: [] for name in values}
    for weights in sides.plan.weights(len(outputs.truth)):
        for name, truth in FAIRNESS[metric].items():
            drawn[name].append(fairness.of_resamples(truth, outputs, parts, weights))
    units = {
        name: [sides.plan.units(fairness.counted(truth, outputs, part)) for part in parts]
        for name, truth in FAIRNESS[metric].items()
    }
    return [
        Rate(name=name, values=values[name], drawn=np.concatenate(drawn[name]), units=units[name]) for name in values
    ]


def _fair_by(
    start: Outcome, mine: list[Rate] | str, theirs: list[Rate] | str | None, parts: Sequence[Slice], sides: Sides
) -> Outcome:
    if isinstance(mine, str):
        return replace(start, reason=f"{mine}; what is not there does not pass")
    several = len(mine) > 1
    shown = [
        _shown(start, part, float(rate.values[i]), rate.name if several else "")
        for rate in mine
        for i, part in enumerate(parts)
    ]
    start = replace(start, slices=tuple(shown))
    if start.condition == "max" or len(parts) < 2:
        return _of_rates(start, mine, parts, sides.confidence)
    value, drawn = _widest_of(mine)
    name = start.metric
    scores = Scores(values={name: value}, reasons={})
    if theirs is None:
        return condition.judged(start, scores, None, None)
    if isinstance(theirs, str):
        return condition.judged(start, scores, Scores(values={}, reasons={name: theirs}), None)
    against, drawn_against = _widest_of(theirs)
    champion = Scores(values={name: against}, reasons={})
    rows = sum(len(part.rows) for part in parts)
    fewest = min(min(rate.units) for rate in mine)
    found = _difference(name, scores, champion, drawn - drawn_against, fewest)
    return condition.judged(
        start, scores, champion, Comparisons(differences=found, rows=rows, confidence=sides.confidence)
    )


def _widest_of(rates: Sequence[Rate]) -> "tuple[float, NDArray[Any]]":
    import numpy as np

    values = max(float(rate.values.max() - rate.values.min()) for rate in rates)
    return values, np.max([rate.drawn.max(axis=1) - rate.drawn.min(axis=1) for rate in rates], axis=0)
