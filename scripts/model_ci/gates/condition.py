"""One condition of a gate on one model's values: judged so that neither what is missing nor what is unsure passes."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from model_ci.config import Gate
from model_ci.config.conditions import CONDITIONS, Condition
from model_ci.frozen import dataclass
from model_ci.gates.comparison import Difference, rows_needed
from model_ci.gates.metrics import MEASURED
from model_ci.gates.outputs import Scores
from model_ci.terms import Comparison, State

# Differences of decimal fractions are not exact in binary: 0.8 - 0.795 is a little above 0.005.
ROUNDING: Final = 1e-12
_OF_SLICE: Final = (
    *("slice", "rows", "challenger", "champion", "difference", "interval"),
    *("comparison", "rows_needed", "state", "reason"),
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One condition of one gate, judged.

    `state` is passed; failed; inconclusive; or no champion: a condition against the champion on the first run, which is
    said and neither passes nor fails. `difference` is the challenger's value less the champion's, `interval` its
    bounds, `comparison` what they show: better, within tolerance, worse or inconclusive. `sign` is 1 where a higher
    value is a gain, -1 where a lower one is. `chance` is the p-value of "the limit is kept".

    Of a gate by slices, `slice` is the worst of `slices`, and the values are its values. A slice is too small, or
    measured where only the gap between slices is judged; `interval` is of its own value where that alone is judged.
    """

    metric: str
    condition: str
    limit: float | None
    sign: int = 1
    challenger: float | None = None
    champion: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    comparison: Comparison | None = None
    rows_needed: int | None = None
    chance: float | None = None
    state: State = State.FAILED
    reason: str = "was not judged"
    by: str | None = None
    slice: str | None = None
    rows: int | None = None
    slices: "Sequence[Outcome]" = ()

    def as_record(self) -> dict[str, Any]:
        """Return the outcome as JSON."""
        record = asdict(self) | {"interval": list(self.interval) if self.interval else None}
        del record["sign"], record["chance"]
        slices = [{key: value for key, value in s.as_record().items() if key in _OF_SLICE} for s in self.slices]
        return record | {"slices": slices}


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """What was resampled: the differences by metric, how sure a bound must be, and what was drawn from.

    `blocks` is None where every row was drawn for itself, `rows` where the two models were asked about different rows.
    """

    differences: Mapping[str, Difference]
    rows: int | None
    confidence: float
    blocks: int | None = None


def opened(gate: Gate, condition: Condition, lower_is_better: Collection[str]) -> Outcome:
    """Return the condition, not judged yet: failed until something says otherwise."""
    sign = condition.direction(lower_is_better=gate.metric in lower_is_better)
    limit = gate.limit(condition)
    return Outcome(metric=gate.metric, condition=condition.name, limit=limit, sign=sign, by=gate.sliced_by)


def judged(outcome: Outcome, challenger: Scores, champion: Scores | None, compared: Comparisons | None) -> Outcome:
    """Judge an opened condition; `champion` is None on the first run, `compared` where nothing was resampled."""
    metric = outcome.metric
    value = _value(challenger, metric)
    against = _value(champion, metric) if champion else None
    difference = None if value is None or against is None else value - against
    outcome = replace(outcome, challenger=value, champion=against, difference=difference)
    if value is None:
        return replace(outcome, reason=f"{_missing(challenger, metric)}; what is not there does not pass")
    if not CONDITIONS[outcome.condition].compares:
        return _absolute(outcome)
    if champion is None:
        return replace(outcome, state=State.NO_CHAMPION, reason="there is no champion to compare with")
    if against is None and champion.incomparable:
        return replace(
            outcome, state=State.INCONCLUSIVE, comparison=Comparison.INCONCLUSIVE, reason=champion.incomparable
        )
    if against is None:
        return replace(
            outcome, reason=f"the champion {_missing(champion, metric)}; what cannot be compared does not pass"
        )
    if unfit := CONDITIONS[outcome.condition].unfit(value, against):
        return replace(outcome, reason=unfit)
    if compared is None or metric in MEASURED:
        return _by_difference(outcome)
    if metric not in compared.differences:
        return replace(outcome, reason="too few resamples have a value; what cannot be compared does not pass")
    return _by_interval(outcome, compared)


def by_chance(outcome: Outcome, tested: int) -> Outcome:
    """Take back a failure that is no more than what chance shows in one of so many tests."""
    among = f" in one of {tested} comparisons" if tested > 1 else ""
    reason = f"{outcome.reason}, but chance alone shows this too often{among} to be sure"
    comparison = outcome.comparison and Comparison.INCONCLUSIVE
    return replace(outcome, state=State.INCONCLUSIVE, comparison=comparison, reason=reason)


def _absolute(outcome: Outcome) -> Outcome:
    value, limit, low = float(outcome.challenger or 0), float(outcome.limit or 0), outcome.sign > 0
    holds = value >= limit if low else value <= limit
    reason = f"{value:.6g} {'is' if holds else 'is not'} {'at least' if low else 'at most'} {limit:g}"
    return replace(outcome, state=_state(holds), reason=reason)


def _by_difference(outcome: Outcome) -> Outcome:
    gain = outcome.sign * float(outcome.difference or 0)
    return replace(outcome, state=_state(gain >= _needed(outcome) - ROUNDING), reason=_seen(outcome))


def _by_interval(outcome: Outcome, compared: Comparisons) -> Outcome:
    """Judge by the bounds: passed when the lower one is within the limit, failed when the upper one is not."""
    difference = compared.differences[outcome.metric]
    if len(difference.resampled) < (fewest := difference.fewest(compared.confidence)):
        return replace(outcome, reason=_too_few(len(difference.resampled), compared.confidence, fewest))
    bounds = difference.interval(compared.confidence)
    gain, needed = outcome.sign * difference.value, _needed(outcome)
    low, high = sorted(outcome.sign * bound for bound in bounds)
    chance = difference.chance_above(needed - ROUNDING, outcome.sign)
    outcome = replace(outcome, interval=bounds, chance=chance, reason=_seen(outcome))
    if low >= needed - ROUNDING:
        return replace(
            outcome, state=State.PASSED, comparison=Comparison.BETTER if low > 0 else Comparison.WITHIN_TOLERANCE
        )
    if high < needed - ROUNDING:
        return replace(outcome, state=State.FAILED, comparison=Comparison.WORSE)
    return _unsure(outcome, compared.rows, gain, (low, high))


def _too_few(resamples: int, confidence: float, needed: int) -> str:
    return (
        f"{resamples} resamples have no bound that holds with {confidence:.12g}; "
        f"set evaluate.uncertainty.resamples to {needed} or more: what cannot be compared does not pass"
    )


def _unsure(outcome: Outcome, rows: int | None, gain: float, bounds: tuple[float, float]) -> Outcome:
    if rows is None:  # more of one's own rows would not make the other side's any surer
        reason = f"{outcome.reason}, but not surely"
        return replace(outcome, state=State.INCONCLUSIVE, comparison=Comparison.INCONCLUSIVE, reason=reason)
    settle = rows_needed(rows, gain, bounds, _needed(outcome))
    how = f"about {settle:,} rows would tell" if settle else "no number of rows would tell"
    reason = f"{outcome.reason}, but {rows:,} rows are too few to be sure: {how}"
    return replace(
        outcome, state=State.INCONCLUSIVE, comparison=Comparison.INCONCLUSIVE, rows_needed=settle, reason=reason
    )


def _needed(outcome: Outcome) -> float:
    return CONDITIONS[outcome.condition].needed(float(outcome.limit or 0), outcome.champion)


def _seen(outcome: Outcome) -> str:
    difference = float(outcome.difference or 0)
    words = f"{abs(difference):.6g} {'higher' if difference > 0 else 'lower'} than" if difference else "equal to"
    condition, limit = CONDITIONS[outcome.condition], f"{outcome.limit:g}"
    if condition.share:
        limit = f"{abs(_needed(outcome)):.6g} ({outcome.limit:g} of {outcome.champion:.6g})"
    return f"{words} the champion, {limit} {'needed' if condition.gain else 'allowed'}"


def _state(holds: bool) -> State:
    return State.PASSED if holds else State.FAILED


def _value(scores: Scores, metric: str) -> float | None:
    value = scores.values.get(metric)
    return value if value is not None and math.isfinite(value) else None


def _missing(scores: Scores, metric: str) -> str:
    return scores.reasons.get(metric, f"has no {metric}")
