"""One condition of a gate on one model's values: judged so that neither what is missing nor what is unsure passes."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from model_ci.config import Gate
from model_ci.config.conditions import CONDITIONS, Condition
from model_ci.frozen import dataclass
from model_ci.gates.comparison import rows_needed
from model_ci.gates.estimate import FEWEST_UNITS, Estimate, Same
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

    differences: Mapping[str, Estimate]
    rows: int | None
    confidence: float
    blocks: int | None = None


def opened(gate: Gate, condition: Condition, lower_is_better: Collection[str]) -> Outcome:
    """Return the condition, not judged yet: failed until something says otherwise."""
    sign = condition.direction(lower_is_better=gate.metric in lower_is_better)
    limit = gate.limit(condition)
    return Outcome(metric=gate.metric, condition=condition.name, limit=limit, sign=sign, by=gate.sliced_by)


@dataclass(frozen=True, kw_only=True)
class Absolute:
    """What `min` and `max` are held to: each metric's estimate on so many rows, and whether its bound must keep the limit."""

    estimates: Mapping[str, Estimate | None]
    rows: int
    confidence: float
    bound: bool


def judged(
    outcome: Outcome,
    challenger: Scores,
    champion: Scores | None,
    compared: Comparisons | None,
    absolute: Absolute | None = None,
) -> Outcome:
    """Judge an opened condition; `champion` is None on the first run, `compared` and `absolute` where nothing was resampled."""
    metric = outcome.metric
    value = _value(challenger, metric)
    against = _value(champion, metric) if champion else None
    difference = None if value is None or against is None else value - against
    outcome = replace(outcome, challenger=value, champion=against, difference=difference)
    if value is None:
        return replace(outcome, reason=f"{_missing(challenger, metric)}; what is not there does not pass")
    if not CONDITIONS[outcome.condition].compares:
        outcome = _absolute(outcome)
        return outcome if absolute is None or metric in MEASURED else bounded(outcome, absolute)
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


def bounded(outcome: Outcome, absolute: Absolute, *, tested: bool = False) -> Outcome:
    """Add the bounds of a value that was held to its limit; where they must keep it, they decide.

    With `tested`, a failure gets its p-value, so that one of many slices does not fail by chance.
    """
    estimate = absolute.estimates.get(outcome.metric)
    if estimate is None:
        reason = "too few resamples have a value; what is not sure does not pass"
        return replace(outcome, state=State.FAILED, reason=reason) if absolute.bound or tested else outcome
    sign, limit = outcome.sign, outcome.sign * float(outcome.limit or 0)
    bounds = estimate.interval(absolute.confidence)
    low, high = sorted(sign * bound for bound in bounds)
    outcome = replace(outcome, interval=bounds)
    if absolute.bound or tested:
        outcome = replace(outcome, chance=estimate.chance_above(limit - ROUNDING, sign))
    if not absolute.bound:
        unsure = outcome.state == State.PASSED and low < limit - ROUNDING
        return replace(outcome, reason=f"{outcome.reason}, but not surely") if unsure else outcome
    if why := _unfit(estimate, bounds, absolute.confidence):
        return _undecided(outcome, estimate, absolute.rows, why)
    if low >= limit - ROUNDING:
        return replace(outcome, state=State.PASSED)
    if high < limit - ROUNDING:
        return replace(outcome, state=State.FAILED)
    settle = rows_needed(absolute.rows, sign * estimate.value, (low, high), limit)
    return replace(
        _undecided(outcome, estimate, absolute.rows, _rows_needed(estimate, absolute.rows, settle)), rows_needed=settle
    )


def _unfit(estimate: Estimate, bounds: tuple[float, float], confidence: float) -> str | None:
    """Return why the bounds say nothing; None where they do."""
    if estimate.too_few:
        return f"it rests on {estimate.drawn_from} {estimate.of}, and {FEWEST_UNITS} are needed"
    if lacking := estimate.lacking_resamples(confidence):
        return _too_few(estimate.resamples, confidence, lacking)
    if bounds[0] == bounds[1]:
        return "it is the same in every resample, so that these rows do not show how far off it may be"
    return None


def _undecided(outcome: Outcome, estimate: Estimate, rows: int | None, why: str) -> Outcome:
    """Call a condition inconclusive; of a metric that rests on too few rows of a kind, tell how many rows have enough of them."""
    comparison = Comparison.INCONCLUSIVE if CONDITIONS[outcome.condition].compares else None
    outcome = replace(outcome, state=State.INCONCLUSIVE, comparison=comparison, chance=None)
    if estimate.too_few and rows:
        settle = math.ceil(rows * FEWEST_UNITS / estimate.drawn_from) if estimate.drawn_from else None
        about = f": hold out about {settle:,} rows" if settle else ""
        return replace(outcome, rows_needed=settle, reason=f"{outcome.reason}, but {why}{about}")
    return replace(outcome, reason=f"{outcome.reason}, but {why}")


def _rows_needed(estimate: Estimate, rows: int, settle: int | None) -> str:
    kind = "" if estimate.of == "rows" else f" with {estimate.drawn_from:,} {estimate.of.removeprefix('rows ')}"
    if settle is None or estimate.drawn_from is None:
        how = f"about {settle:,} rows would tell" if settle else "no number of rows would tell"
    else:
        of_kind = (
            ""
            if not kind
            else f", {math.ceil(settle * estimate.drawn_from / rows):,} of them {estimate.of.removeprefix('rows ')}"
        )
        how = f"about {settle:,} rows would tell{of_kind}"
    return f"{rows:,} rows{kind} are too few to be sure: {how}"


def _by_difference(outcome: Outcome) -> Outcome:
    gain = outcome.sign * float(outcome.difference or 0)
    return replace(outcome, state=_state(gain >= _needed(outcome) - ROUNDING), reason=_seen(outcome))


def _by_interval(outcome: Outcome, compared: Comparisons) -> Outcome:
    """Judge by the bounds: passed when the lower one is within the limit, failed when the upper one is not."""
    difference = compared.differences[outcome.metric]
    outcome = replace(outcome, reason=_seen(outcome))
    if isinstance(difference, Same) and not difference.too_few:
        keeps = _needed(outcome) <= ROUNDING
        reason = f"{outcome.reason}; both models give each row the same answer"
        comparison = Comparison.WITHIN_TOLERANCE if keeps else Comparison.WORSE
        return replace(outcome, state=_state(keeps), comparison=comparison, reason=reason, interval=(0.0, 0.0))
    lacking = difference.lacking_resamples(compared.confidence)
    if lacking and not difference.too_few:
        return replace(outcome, reason=_too_few(difference.resamples, compared.confidence, lacking))
    bounds = difference.interval(compared.confidence)
    outcome = replace(outcome, interval=bounds)
    if why := _unfit(difference, bounds, compared.confidence):
        return _undecided(outcome, difference, compared.rows, why)
    gain, needed = outcome.sign * difference.value, _needed(outcome)
    low, high = sorted(outcome.sign * bound for bound in bounds)
    outcome = replace(outcome, chance=difference.chance_above(needed - ROUNDING, outcome.sign))
    if low >= needed - ROUNDING:
        return replace(
            outcome, state=State.PASSED, comparison=Comparison.BETTER if low > 0 else Comparison.WITHIN_TOLERANCE
        )
    if high < needed - ROUNDING:
        return replace(outcome, state=State.FAILED, comparison=Comparison.WORSE)
    if compared.rows is None:  # more of one's own rows would not make the other side's any surer
        return _unsure(outcome, f"{outcome.reason}, but not surely")
    settle = rows_needed(compared.rows, gain, (low, high), needed)
    reason = f"{outcome.reason}, but {_rows_needed(difference, compared.rows, settle)}"
    return replace(_unsure(outcome, reason), rows_needed=settle)


def _unsure(outcome: Outcome, reason: str) -> Outcome:
    return replace(outcome, state=State.INCONCLUSIVE, comparison=Comparison.INCONCLUSIVE, reason=reason)


def _too_few(resamples: int, confidence: float, needed: int) -> str:
    return (
        f"{resamples} resamples have no bound that holds with {confidence:.12g}; "
        f"set evaluate.uncertainty.resamples to {needed} or more: what cannot be compared does not pass"
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
