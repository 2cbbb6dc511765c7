"""The gates: conditions on metrics, judged so that what is missing never passes."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from model_ci.config import Gate
from model_ci.gates.metrics import Scores

# Differences of decimal fractions are not exact in binary: 0.8 - 0.795 is a little above 0.005.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One condition of one gate, judged.

    `state` is passed, failed, or no champion: a condition against the champion on the first run, which is said and
    neither passes nor fails. `difference` is the challenger's value less the champion's.
    """

    metric: str
    condition: str
    limit: float
    challenger: float | None
    champion: float | None
    difference: float | None
    state: str
    reason: str

    def as_record(self) -> dict[str, Any]:
        """Return the outcome as JSON."""
        return asdict(self)


def judge(gates: Sequence[Gate], challenger: Scores, champion: Scores | None) -> list[Outcome]:
    """Judge every condition of every gate; `champion` is None on the first run."""
    return [
        _judge(gate, condition, challenger, champion)
        for gate in gates
        for condition in ("min", "max", "max_drop", "max_rise")
        if getattr(gate, condition) is not None
    ]


def verdict(outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """Return passed or failed, and why in a sentence.

    Fails closed: one failed condition fails, and so does the absence of any that passed.
    """
    failed = [o for o in outcomes if o.state == "failed"]
    passed = [o for o in outcomes if o.state == "passed"]
    if failed:
        names = ", ".join(dict.fromkeys(o.metric for o in failed))
        return "failed", f"{len(failed)} of {len(failed) + len(passed)} conditions failed: {names}"
    if not passed:
        return "failed", "no condition could be judged; add a min or max to a gate, so that a first model can be"
    return "passed", f"{len(passed)} of {len(passed)} conditions passed"


def _judge(gate: Gate, condition: str, challenger: Scores, champion: Scores | None) -> Outcome:
    metric, limit = gate.metric, getattr(gate, condition)
    value = _value(challenger, metric)
    against = _value(champion, metric) if champion else None
    difference = None if value is None or against is None else value - against
    if value is None:
        state, reason = "failed", f"{_missing(challenger, metric)}; what is not there does not pass"
    elif condition in ("min", "max"):
        state, reason = _absolute(condition, limit, value)
    elif champion is None:
        state, reason = "no champion", "there is no champion to compare with"
    elif difference is None:
        state, reason = "failed", f"the champion {_missing(champion, metric)}; what cannot be compared does not pass"
    else:
        state, reason = _relative(condition, limit, difference)
    return Outcome(
        metric=metric,
        condition=condition,
        limit=limit,
        challenger=value,
        champion=against,
        difference=difference,
        state=state,
        reason=reason,
    )


def _absolute(condition: str, limit: float, value: float) -> tuple[str, str]:
    holds = value >= limit if condition == "min" else value <= limit
    words = "at least" if condition == "min" else "at most"
    return _state(holds), f"{value:.6g} {'is' if holds else 'is not'} {words} {limit:g}"


def _relative(condition: str, limit: float, difference: float) -> tuple[str, str]:
    change = -difference if condition == "max_drop" else difference
    direction = "lower" if condition == "max_drop" else "higher"
    holds = change <= limit + _ROUNDING
    seen = f"{abs(change):.6g} {direction}" if change > 0 else f"not {direction}"
    return _state(holds), f"{seen} than the champion, {limit:g} allowed"


def _state(holds: bool) -> str:
    return "passed" if holds else "failed"


def _value(scores: Scores, metric: str) -> float | None:
    value = scores.values.get(metric)
    return value if value is not None and math.isfinite(value) else None


def _missing(scores: Scores, metric: str) -> str:
    return scores.reasons.get(metric, f"has no {metric}")
