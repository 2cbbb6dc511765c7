"""The gates: conditions on metrics, judged so that neither what is missing nor what is unsure passes."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from model_ci.config import Gate
from model_ci.gates.comparison import Difference, holm, rows_needed
from model_ci.gates.metrics import MEASURED, Scores

ABSOLUTE: Final = ("min", "max")
RELATIVE: Final = ("max_drop", "max_rise", "min_gain")
# Differences of decimal fractions are not exact in binary: 0.8 - 0.795 is a little above 0.005.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One condition of one gate, judged.

    `state` is passed; failed; inconclusive; or no champion: a condition against the champion on the first run, which is
    said and neither passes nor fails. `difference` is the challenger's value less the champion's, `interval` its
    bounds, `comparison` what they show: better, within tolerance, worse or inconclusive. `sign` is 1 where a higher
    value is a gain, -1 where a lower one is.
    """

    metric: str
    condition: str
    limit: float
    sign: int
    challenger: float | None
    champion: float | None
    difference: float | None
    interval: tuple[float, float] | None = None
    comparison: str | None = None
    rows_needed: int | None = None
    state: str
    reason: str

    def as_record(self) -> dict[str, Any]:
        """Return the outcome as JSON."""
        record = asdict(self) | {"interval": list(self.interval) if self.interval else None}
        del record["sign"]
        return record


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """What was resampled: the differences by metric, how sure a bound must be, and what was drawn from.

    `blocks` is None where every row was drawn for itself.
    """

    differences: Mapping[str, Difference]
    rows: int
    confidence: float
    blocks: int | None = None


def judge(
    gates: Sequence[Gate],
    challenger: Scores,
    champion: Scores | None,
    compared: Comparisons | None = None,
    lower_is_better: Collection[str] = (),
) -> list[Outcome]:
    """Judge every condition of every gate; `champion` is None on the first run.

    A condition against the champion is judged by the bound of the difference where the metric was resampled, by the
    difference itself where it was not (latency and size are no means over rows).
    """
    outcomes = [
        _judge(_opened(gate, condition, lower_is_better), challenger, champion, compared)
        for gate in gates
        for condition in (*ABSOLUTE, *RELATIVE)
        if getattr(gate, condition) is not None
    ]
    return _keep_level(outcomes, compared) if compared else outcomes


def verdict(outcomes: Sequence[Outcome], *, inconclusive: str = "fail") -> tuple[str, str]:
    """Return passed or failed, and why in a sentence.

    Fails closed: one failed condition fails, and so does the absence of any that passed. `inconclusive` says what
    follows from a comparison that the rows are too few for.
    """
    failed = [o for o in outcomes if o.state == "failed"]
    unsure = [o for o in outcomes if o.state == "inconclusive"]
    passed = [o for o in outcomes if o.state == "passed"]
    judged = len(failed) + len(unsure) + len(passed)
    if failed:
        return "failed", f"{len(failed)} of {judged} conditions failed: {_names(failed)}"
    if unsure and inconclusive == "fail":
        return "failed", f"{len(unsure)} of {judged} conditions are inconclusive: {_names(unsure)}"
    if not passed:
        return "failed", "no condition could be judged; add a min or max to a gate, so that a first model can be"
    but = f"; {_names(unsure)} inconclusive, which is allowed" if unsure else ""
    return "passed", f"{len(passed)} of {judged} conditions passed{but}"


def _opened(gate: Gate, condition: str, lower_is_better: Collection[str]) -> Outcome:
    """Return the condition, not judged yet: failed until something says otherwise."""
    falls = condition == "max_rise" or (condition == "min_gain" and gate.metric in lower_is_better)
    return Outcome(
        metric=gate.metric,
        condition=condition,
        limit=getattr(gate, condition),
        sign=-1 if falls else 1,
        challenger=None,
        champion=None,
        difference=None,
        state="failed",
        reason="was not judged",
    )


def _judge(outcome: Outcome, challenger: Scores, champion: Scores | None, compared: Comparisons | None) -> Outcome:
    metric = outcome.metric
    value = _value(challenger, metric)
    against = _value(champion, metric) if champion else None
    difference = None if value is None or against is None else value - against
    outcome = replace(outcome, challenger=value, champion=against, difference=difference)
    if value is None:
        return replace(outcome, reason=f"{_missing(challenger, metric)}; what is not there does not pass")
    if outcome.condition in ABSOLUTE:
        return _absolute(outcome)
    if champion is None:
        return replace(outcome, state="no champion", reason="there is no champion to compare with")
    if outcome.difference is None:
        return replace(
            outcome, reason=f"the champion {_missing(champion, metric)}; what cannot be compared does not pass"
        )
    if compared is None or metric in MEASURED:
        return _by_difference(outcome)
    if metric not in compared.differences:
        return replace(outcome, reason="too few resamples have a value; what cannot be compared does not pass")
    return _by_interval(outcome, compared)


def _absolute(outcome: Outcome) -> Outcome:
    value, limit, low = float(outcome.challenger or 0), outcome.limit, outcome.condition == "min"
    holds = value >= limit if low else value <= limit
    reason = f"{value:.6g} {'is' if holds else 'is not'} {'at least' if low else 'at most'} {limit:g}"
    return replace(outcome, state=_state(holds), reason=reason)


def _by_difference(outcome: Outcome) -> Outcome:
    gain = outcome.sign * float(outcome.difference or 0)
    return replace(outcome, state=_state(gain >= _needed(outcome) - _ROUNDING), reason=_seen(outcome))


def _by_interval(outcome: Outcome, compared: Comparisons) -> Outcome:
    """Judge by the bounds: passed when the lower one is within the limit, failed when the upper one is not."""
    difference = compared.differences[outcome.metric]
    bounds = difference.interval(compared.confidence)
    gain, needed = outcome.sign * difference.value, _needed(outcome)
    low, high = sorted(outcome.sign * bound for bound in bounds)
    outcome = replace(outcome, interval=bounds, reason=_seen(outcome))
    if low >= needed - _ROUNDING:
        return replace(outcome, state="passed", comparison="better" if low > 0 else "within tolerance")
    if high < needed - _ROUNDING:
        return replace(outcome, state="failed", comparison="worse")
    return _unsure(outcome, compared.rows, gain, (low, high))


def _unsure(outcome: Outcome, rows: int, gain: float, bounds: tuple[float, float]) -> Outcome:
    settle = rows_needed(rows, gain, bounds, _needed(outcome))
    how = f"about {settle:,} rows would tell" if settle else "no number of rows would tell"
    reason = f"{outcome.reason}, but {rows:,} rows are too few to be sure: {how}"
    return replace(outcome, state="inconclusive", comparison="inconclusive", rows_needed=settle, reason=reason)


def _keep_level(outcomes: Sequence[Outcome], compared: Comparisons) -> list[Outcome]:
    """Call a release worse only where Holm's procedure does: of several gates one would often be so by chance.

    That every gate must be shown to hold needs no correction: each alone keeps the level (Berger 1982).
    """
    tested = [i for i, o in enumerate(outcomes) if o.comparison is not None]
    chances = [_chance(outcomes[i], compared) for i in tested]
    worse = dict(zip(tested, holm(chances, 1 - compared.confidence), strict=True))
    return [
        _unsure_of_many(o, compared, len(tested)) if o.comparison == "worse" and not worse[i] else o
        for i, o in enumerate(outcomes)
    ]


def _unsure_of_many(outcome: Outcome, compared: Comparisons, tested: int) -> Outcome:
    reason = f"{outcome.reason}, but one of {tested} comparisons looks like this by chance too often to be sure"
    return replace(outcome, state="inconclusive", comparison="inconclusive", reason=reason)


def _chance(outcome: Outcome, compared: Comparisons) -> float:
    """Return the p-value of "the challenger is as good as the limit asks"."""
    return compared.differences[outcome.metric].chance_above(_needed(outcome) - _ROUNDING, outcome.sign)


def _needed(outcome: Outcome) -> float:
    return outcome.limit if outcome.condition == "min_gain" else -outcome.limit


def _seen(outcome: Outcome) -> str:
    difference = float(outcome.difference or 0)
    words = f"{abs(difference):.6g} {'higher' if difference > 0 else 'lower'} than" if difference else "equal to"
    return f"{words} the champion, {outcome.limit:g} {'needed' if outcome.condition == 'min_gain' else 'allowed'}"


def _state(holds: bool) -> str:
    return "passed" if holds else "failed"


def _value(scores: Scores, metric: str) -> float | None:
    value = scores.values.get(metric)
    return value if value is not None and math.isfinite(value) else None


def _missing(scores: Scores, metric: str) -> str:
    return scores.reasons.get(metric, f"has no {metric}")


def _names(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(dict.fromkeys(o.metric for o in outcomes))
