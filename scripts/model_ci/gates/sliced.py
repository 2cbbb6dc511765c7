"""Gates by slices: every condition in every slice that is large enough, and the gap between slices."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from model_ci.config import Gate
from model_ci.config.conditions import CONDITIONS, Judged
from model_ci.frozen import dataclass
from model_ci.gates import condition, fairness
from model_ci.gates.comparison import Resampling
from model_ci.gates.condition import ROUNDING, Absolute, Comparisons, Outcome
from model_ci.gates.estimate import FEWEST_UNITS
from model_ci.gates.fairness import Rate
from model_ci.gates.gap import Gap, widest
from model_ci.gates.metrics import Metric
from model_ci.gates.outputs import Outputs, Scores
from model_ci.gates.quality import Quality
from model_ci.gates.reading import Reading, read
from model_ci.gates.slices import Slice
from model_ci.terms import State

_WORST_FIRST: Final = (State.FAILED, State.INCONCLUSIVE, State.PASSED, State.NO_CHAMPION)


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The outputs of both models on the same rows, None where one cannot be asked, and how sure to be.

    Of the champion it may be what was measured of it on other rows. `first` tells that there is no champion at all,
    `incomparable` why it is not compared with, `bound` whether the bound of a value must keep an absolute limit.
    """

    challenger: Outputs | None
    champion: Outputs | Quality | None
    first: bool
    plan: Resampling
    confidence: float
    incomparable: str | None = None
    bound: bool = False


def judge(
    gate: Gate, metric: Metric | None, slices: Sequence[Slice], sides: Sides, lower_is_better: Collection[str] = ()
) -> list[Outcome]:
    """Judge every condition of a gate with `by`; `metric` is None for a metric of fairness.

    A slice below the gate's `min_rows` is too small: it is shown, and counts neither as passed nor as failed. Where
    all are, nothing was judged, and the gate fails.
    """
    small = [_too_small(gate, s) for s in slices if len(s.rows) < gate.min_rows]
    enough = [s for s in slices if len(s.rows) >= gate.min_rows]
    starts = [condition.opened(gate, c, lower_is_better) for c in gate.conditions]
    if not enough:
        return [fold(start, small) for start in starts]
    if metric is None:
        return [replace(o, slices=(*o.slices, *small)) for o in _fair(starts, enough, sides)]
    mine = read(metric, sides.challenger, enough, sides.plan)
    theirs = None if sides.first else _theirs(gate, metric, enough, sides)
    outcomes = []
    for start in starts:
        if CONDITIONS[start.condition].judged is Judged.GAP:
            outcomes.append(_gap(start, enough, mine, sides, small))
        else:
            judged_slices = [_in_slice(start, part, i, mine, theirs, sides) for i, part in enumerate(enough)]
            outcomes.append(fold(start, [*judged_slices, *small]))
    return outcomes


def fold(whole: Outcome, slices: Sequence[Outcome]) -> Outcome:
    """Return a condition as that of its worst slice: one slice that fails it fails it."""
    judged = [s for s in slices if s.state != State.TOO_SMALL]
    small = len(slices) - len(judged)
    if not judged:
        reason = (
            f"all {small} slices are too small to judge; lower the gate's min_rows, or name columns with fewer values"
        )
        return replace(whole, slices=tuple(slices), state=State.FAILED, reason=reason)
    worst = min(judged, key=lambda s: (_WORST_FIRST.index(s.state), _margin(s)))
    alike = sum(s.state == worst.state for s in judged)
    count = f"{alike} of {len(judged)} slices {worst.state}" + (f", {small} too small" if small else "")
    return replace(worst, slices=tuple(slices), reason=f"{worst.slice}: {worst.reason} ({count})")


def _too_small(gate: Gate, part: Slice) -> Outcome:
    reason = f"{len(part.rows)} rows, {gate.min_rows} are needed"
    return Outcome(
        metric=gate.metric, condition="min_rows", limit=gate.min_rows, state=State.TOO_SMALL, reason=reason,
        slice=part.name, rows=len(part.rows),
    )  # fmt: skip


def _margin(outcome: Outcome) -> float:
    """Return a number that is less, the worse the slice stands."""
    kind, limit = CONDITIONS[outcome.condition], float(outcome.limit or 0)
    if kind.compares:
        gain = None if outcome.difference is None else outcome.sign * outcome.difference
        return -math.inf if gain is None else gain - kind.needed(limit, outcome.champion)
    return -math.inf if outcome.challenger is None else outcome.sign * (outcome.challenger - limit)


def _theirs(gate: Gate, metric: Metric, slices: Sequence[Slice], sides: Sides) -> Reading:
    if isinstance(sides.champion, Quality):
        return sides.champion.read(metric.name, gate.sliced_by, [part.name for part in slices], sides.plan)
    return read(metric, sides.champion, slices, sides.plan, resampled=gate.compares, side=1)


def _in_slice(  # noqa: PLR0913, PLR0917 - a condition, a slice, and what both models are there
    start: Outcome, part: Slice, i: int, mine: Reading, theirs: Reading | None, sides: Sides
) -> Outcome:
    outcome = _compared(start, i, mine, theirs, len(part.rows), sides)
    outcome = replace(outcome, slice=part.name, rows=len(part.rows))
    if CONDITIONS[outcome.condition].judged is Judged.VALUE and outcome.challenger is not None:
        return _bounded(outcome, mine, i, len(part.rows), sides)
    return outcome


def _compared(  # noqa: PLR0913, PLR0917
    start: Outcome, i: int, mine: Reading, theirs: Reading | None, rows: int, sides: Sides
) -> Outcome:
    if theirs is None:
        return condition.judged(start, mine.scores[i], None, None)
    if sides.incomparable:
        nothing = Scores(values={}, reasons={}, incomparable=sides.incomparable)
        return condition.judged(start, mine.scores[i], nothing, None)
    difference = mine.less(theirs, i)
    compared = Comparisons(
        differences={mine.metric: difference} if difference else {},
        rows=None if isinstance(sides.champion, Quality) else rows,
        confidence=sides.confidence,
    )
    return condition.judged(start, mine.scores[i], theirs.scores[i], compared)


def _bounded(outcome: Outcome, reading: Reading, i: int, rows: int, sides: Sides) -> Outcome:
    """Add the bounds of the slice's own value, and the chance that its true value keeps the limit."""
    estimates = {outcome.metric: reading.alone(i)}
    absolute = Absolute(estimates=estimates, rows=rows, confidence=sides.confidence, bound=sides.bound)
    return condition.bounded(outcome, absolute, tested=True)


def _gap(start: Outcome, parts: Sequence[Slice], reading: Reading, sides: Sides, small: Sequence[Outcome]) -> Outcome:
    import numpy as np

    shown = [_shown(start, part, reading.value(i)) for i, part in enumerate(parts)]
    start = replace(start, slices=(*shown, *small))
    lacking = next((i for i, s in enumerate(shown) if s.challenger is None), None)
    if lacking is not None:
        why = reading.scores[lacking].reasons.get(start.metric, "no value")
        return replace(start, reason=f"{parts[lacking].name}: {why}; what is not there does not pass")
    values = np.array([s.challenger for s in shown], dtype=float)
    rate = Rate(name=start.metric, values=values, drawn=reading.drawn, units=reading.units)
    return _of_rates(start, [rate], parts, sides)


def _shown(start: Outcome, part: Slice, value: float | None, rate: str = "") -> Outcome:
    name = f"{part.name}: {rate}" if rate else part.name
    return replace(
        start,
        slice=name,
        rows=len(part.rows),
        challenger=value,
        state=State.MEASURED,
        reason="compared with the others",
    )


def _of_rates(start: Outcome, rates: Sequence[Rate], parts: Sequence[Slice], sides: Sides) -> Outcome:
    """Judge the widest gap of any of the rates against the limit."""
    if len(parts) < 2:
        reason = f"{parts[0].name} is the only slice with enough rows, so that there is nothing to compare it with"
        return replace(start, reason=reason)
    limit = float(start.limit or 0)
    gaps = [widest(rate.values, rate.drawn, rate.units, limit + ROUNDING, sides.confidence) for rate in rates]
    rate, gap = max(zip(rates, gaps, strict=True), key=lambda both: both[1].value)
    of = f" in {rate.name}" if len(rates) > 1 else ""
    holds = gap.value <= limit + ROUNDING
    between = f"{gap.value:.6g} between {parts[gap.low].name} and {parts[gap.high].name}{of}, {limit:g} allowed"
    start = replace(start, challenger=gap.value, interval=gap.interval, slice=parts[gap.low].name)
    if gap.chance is None:
        return replace(start, reason="too few resamples have a value; what is not sure does not pass")
    chances = [g.chance for g in gaps if g.chance is not None]
    chance = min(1.0, len(rates) * min(chances))
    start = replace(start, state=State.PASSED if holds else State.FAILED, reason=between, chance=chance)
    return _sure_gap(start, rates, gaps, sides) if sides.bound and holds else start


def _sure_gap(start: Outcome, rates: Sequence[Rate], gaps: Sequence[Gap], sides: Sides) -> Outcome:
    """Take a gap's pass back where a bound does not keep the limit, or where a slice rests on too few rows to have one."""
    fewest = min(min(rate.units) for rate in rates)
    if fewest < FEWEST_UNITS:
        reason = f"{start.reason}, but a slice has {fewest} rows that count, and {FEWEST_UNITS} are needed"
    elif all(gap.chance_beyond is not None and gap.chance_beyond <= 1 - sides.confidence for gap in gaps):
        return start
    else:
        reason = f"{start.reason}, but not surely"
    return replace(start, state=State.INCONCLUSIVE, reason=reason, chance=None)


def _fair(starts: Sequence[Outcome], parts: Sequence[Slice], sides: Sides) -> list[Outcome]:
    mine = fairness.rates(starts[0].metric, sides.challenger, parts, sides.plan)
    return [_fair_by(start, mine, parts, sides) for start in starts]


def _fair_by(start: Outcome, mine: list[Rate] | str, parts: Sequence[Slice], sides: Sides) -> Outcome:
    if isinstance(mine, str):
        return replace(start, reason=f"{mine}; what is not there does not pass")
    several = len(mine) > 1
    shown = [
        _shown(start, part, float(rate.values[i]), rate.name if several else "")
        for rate in mine
        for i, part in enumerate(parts)
    ]
    start = replace(start, slices=tuple(shown))
    if not CONDITIONS[start.condition].compares or len(parts) < 2:
        return _of_rates(start, mine, parts, sides)
    theirs = None if sides.first else _their_gap(start, parts, sides)
    rows = sum(len(part.rows) for part in parts)
    return _compared(start, 0, fairness.gap(start.metric, mine, sides.plan), theirs, rows, sides)


def _their_gap(start: Outcome, parts: Sequence[Slice], sides: Sides) -> Reading:
    if isinstance(sides.champion, Quality):
        return sides.champion.read(start.metric, start.by, [None], sides.plan)
    return fairness.gap(start.metric, fairness.rates(start.metric, sides.champion, parts, sides.plan), sides.plan)
