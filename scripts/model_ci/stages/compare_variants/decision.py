"""Decide about a test of two variants: promote, roll back, keep running; or nothing, when it cannot be trusted."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypedDict

from model_ci.data.finding import Finding
from model_ci.frozen import dataclass
from model_ci.stages.compare_variants.estimate import Estimate, estimate
from model_ci.stages.compare_variants.exposures import Exposures
from model_ci.stages.compare_variants.ratio import Ratio, check
from model_ci.stages.compare_variants.sequence import half_width
from model_ci.terms import Evidence

if TYPE_CHECKING:
    from model_ci import record_types
    from model_ci.record_types import CompareVariantsSampleRatio
    from model_ci.types import Array

PROMOTE, ROLL_BACK, KEEP, END, INVALID = (
    "promote",
    "roll back",
    "keep running",
    "inconclusive at the horizon",
    "not trusted",
)


@dataclass(frozen=True, kw_only=True)
class Rail:
    """A guard rail: the treatment's mean (or quantile) within `limit`, or worse than the control's by at most `margin`."""

    name: str
    greater_is_better: bool
    quantile: float | None
    limit: float | None
    margin: float | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was fixed before the first look.

    `level` is the chance of any false decision over all looks, `mismatch_level` that of calling a sound split unsound;
    `share` is the treatment's meant share of the units, and `sharpest` the number of units the bounds are closest at.
    """

    greater_is_better: bool
    min_gain: float
    rails: Sequence[Rail]
    level: float
    mismatch_level: float
    share: float
    min_units: int
    sharpest: int


class Judgement(TypedDict):
    """A metric that was judged, as it stands in a run's record."""

    state: str
    reason: str
    control: float | None
    treatment: float | None
    interval: Sequence[float] | None
    units: Sequence[int]
    rows: Sequence[int]


class Conclusion(TypedDict):
    """What a section holds of the decision."""

    decision: str
    why: str
    metric: Judgement
    guard_rails: Sequence[Judgement]
    sample_ratio: "CompareVariantsSampleRatio"
    findings: "Sequence[record_types.Finding]"


@dataclass(frozen=True, kw_only=True)
class JudgedMetric:
    """One metric as found: how much it exceeds what is allowed, in the bad direction, with its two bounds."""

    state: Evidence
    reason: str
    control: float | None
    treatment: float | None
    interval: tuple[float, float] | None
    units: tuple[int, int]
    rows: tuple[int, int]


def decide(exposures: Exposures, plan: Plan, *, ended: bool) -> Conclusion:
    """Judge all metrics at this look; `ended` tells that there will be no further one.

    Of the false decisions half go to false promotions. The other half goes to false roll-backs, in equal parts to the
    metric and the guard rails. A guard rail must be shown to hold, so that several need no correction.
    """
    ratio = check(exposures.assigned.to_numpy(), plan.share)
    tests = 1 + len(plan.rails)
    harm, benefit = plan.level / 2 / tests, plan.level / 2
    findings = [*exposures.findings, *_mismatch(ratio, plan), *_unequally_known(exposures, plan)]
    gain = _gain(exposures, plan, harm, benefit)
    rails = [_rail(exposures, plan, rail, i + 1, harm, benefit) for i, rail in enumerate(plan.rails)]
    decision, why = _weigh(findings, gain, rails, plan, ended=ended)
    return {
        "decision": decision,
        "why": why,
        "metric": _described(gain),
        "guard_rails": [_described(judged) for judged in rails],
        "sample_ratio": {
            "expected": ratio.expected,
            "found": ratio.observed,
            "p_value": ratio.p_value,
            "level": plan.mismatch_level,
            "holds": ratio.p_value > plan.mismatch_level,
        },
        "findings": [finding.as_record() for finding in findings],
    }


def _weigh(
    findings: Sequence[Finding], gain: JudgedMetric, rails: Sequence[JudgedMetric], plan: Plan, *, ended: bool
) -> tuple[str, str]:
    broken = [finding for finding in findings if finding.level == "failure"]
    if broken:
        return INVALID, "; ".join(f"{finding.where}: {finding.what}" for finding in broken)
    violated = [(r, j) for r, j in zip(plan.rails, rails, strict=True) if j.state == Evidence.VIOLATED]
    if violated:
        return ROLL_BACK, "; ".join(f"the guard rail {rail.name} is violated: {j.reason}" for rail, j in violated)
    if gain.state == Evidence.VIOLATED:
        return ROLL_BACK, gain.reason
    waiting = [(r, j) for r, j in zip(plan.rails, rails, strict=True) if j.state != Evidence.PASSED]
    if gain.state == Evidence.PASSED and not waiting:
        return PROMOTE, gain.reason if not rails else f"{gain.reason}, and every guard rail holds"
    why = gain.reason if gain.state != Evidence.PASSED else f"{gain.reason}, but not every guard rail is sure to hold"
    why = "; ".join([why, *(f"{rail.name}: {j.reason}" for rail, j in waiting)])
    return (END, f"{why}; the test has come to its end") if ended else (KEEP, why)


def _gain(exposures: Exposures, plan: Plan, harm: float, benefit: float) -> JudgedMetric:
    """Judge the metric: the treatment's gain over the control, in the good direction, against the least that is wanted."""
    at = _estimate(exposures, "metric 0")
    sign = 1 if plan.greater_is_better else -1
    if early := _too_early(at, plan):
        return _undecided(at, early)
    gain = sign * at.difference
    low = gain - _width(at.variance, at.units, benefit, plan)
    high = gain + _width(at.variance, at.units, harm, plan)
    if low > plan.min_gain:
        return _judged(at, Evidence.PASSED, f"the gain is {gain:.4g}, surely above {plan.min_gain:g}", (low, high))
    if high < plan.min_gain:
        return _judged(at, Evidence.VIOLATED, f"the gain is {gain:.4g}, surely below {plan.min_gain:g}", (low, high))
    return _judged(at, Evidence.UNDECIDED, f"whether the gain is above {plan.min_gain:g} is not known yet", (low, high))


def _rail(exposures: Exposures, plan: Plan, rail: Rail, at: int, harm: float, benefit: float) -> JudgedMetric:  # noqa: PLR0913, PLR0917
    """Judge a guard rail: what exceeds it, in the bad direction, is above 0 or below."""
    estimated = _estimate(exposures, f"metric {at}")
    if early := _too_early(estimated, plan):
        return _undecided(estimated, early)
    compared, allowed = _compared(exposures, f"metric {at}", rail, estimated)
    sign = -1 if rail.greater_is_better else 1
    of_limit = rail.limit is not None
    worse = sign * (compared.treatment.value if of_limit else compared.difference)
    variance = compared.treatment.variance if of_limit else compared.variance
    units = compared.treatment.units / plan.share if of_limit else compared.units
    low = worse - _width(variance, units, harm, plan)
    high = worse + _width(variance, units, benefit, plan)
    condition = _condition(rail)
    bounds = None if rail.quantile else ((low, high) if sign > 0 or not of_limit else (-high, -low))
    if not variance:
        return _judged(
            estimated, Evidence.UNDECIDED, f"{condition}: its values do not vary, so nothing can be said", None
        )
    if low > sign * allowed:
        return _judged(estimated, Evidence.VIOLATED, f"{condition} is surely broken", bounds)
    if high <= sign * allowed:
        return _judged(estimated, Evidence.PASSED, f"{condition} surely holds", bounds)
    return _judged(estimated, Evidence.UNDECIDED, f"whether {condition} is not known yet", bounds)


def _compared(exposures: Exposures, column: str, rail: Rail, estimated: Estimate) -> tuple[Estimate, float]:
    """Return what is estimated and what it may be: of a quantile, the share of rows beyond it."""
    import numpy as np

    if rail.quantile is None:
        return estimated, rail.limit if rail.limit is not None else _sign(rail) * float(rail.margin or 0)
    units, treated, values = _known(exposures, column)
    if rail.limit is not None:
        return estimate(units, treated, (values > rail.limit).astype(float)), 1 - rail.quantile
    theirs = float(np.quantile(values[~treated], rail.quantile))
    beyond = values > np.where(treated, theirs + float(rail.margin or 0), theirs)
    return estimate(units, treated, beyond.astype(float)), 0.0


def _sign(rail: Rail) -> int:
    return -1 if rail.greater_is_better else 1


def _condition(rail: Rail) -> str:
    of = f"the {rail.quantile:.0%} quantile" if rail.quantile else "the mean"
    if rail.limit is not None:
        return f"{of} is {'at least' if rail.greater_is_better else 'at most'} {rail.limit:g}"
    return f"{of} is worse by at most {rail.margin:g}"


def _width(variance: float, units: float, one_sided: float, plan: Plan) -> float:
    return float(half_width(variance, units, 2 * one_sided, plan.sharpest))


def _known(exposures: Exposures, column: str) -> "tuple[Array, Array, Array]":
    rows = exposures.frame.drop_nulls(column)
    return rows["unit"].to_numpy(), rows["treated"].to_numpy(), rows[column].to_numpy()


def _estimate(exposures: Exposures, column: str) -> Estimate:
    return estimate(*_known(exposures, column))


def _too_early(at: Estimate, plan: Plan) -> str | None:
    least = min(at.control.units, at.treatment.units)
    if least < plan.min_units:
        return f"{least} units in the smaller variant, at least {plan.min_units} are needed"
    if not math.isfinite(at.variance):
        return "it is not a number"
    return None if at.variance > 0 else "its values do not vary, so nothing can be said"


def _undecided(at: Estimate, reason: str) -> JudgedMetric:
    return _judged(at, Evidence.UNDECIDED, reason, None)


def _judged(at: Estimate, state: Evidence, reason: str, interval: tuple[float, float] | None) -> JudgedMetric:
    return JudgedMetric(
        state=state,
        reason=reason,
        control=_finite(at.control.value),
        treatment=_finite(at.treatment.value),
        interval=interval,
        units=(at.control.units, at.treatment.units),
        rows=(at.control.rows, at.treatment.rows),
    )


def _described(judged: JudgedMetric) -> Judgement:
    return {
        "state": judged.state,
        "reason": judged.reason,
        "control": judged.control,
        "treatment": judged.treatment,
        "interval": judged.interval,
        "units": judged.units,
        "rows": judged.rows,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mismatch(ratio: Ratio, plan: Plan) -> Iterator[Finding]:
    if ratio.p_value <= plan.mismatch_level:
        what = (
            f"the treatment has {ratio.observed:.2%} of the units, {ratio.expected:.2%} were meant (p = {ratio.p_value:.2g} at every "
            "look); find out what lost the others, or set compare-variants.share to the weight that was deployed"
        )
        yield Finding(rule="sample-ratio", where="sample ratio", what=what)


def _unequally_known(exposures: Exposures, plan: Plan) -> Iterator[Finding]:
    """What is known of one variant sooner than of the other, such as successes before failures, favours it."""
    import numpy as np

    columns = [name for name in exposures.frame.columns if name.startswith("metric ")]
    for column in columns[:1]:
        known = exposures.frame[column].is_not_null().to_numpy().astype(float)
        if known.all():
            continue
        at = estimate(exposures.frame["unit"].to_numpy(), exposures.frame["treated"].to_numpy(), known)
        if _too_early(at, plan):
            continue
        width = float(half_width(at.variance, at.units, plan.mismatch_level, plan.sharpest))
        if np.abs(at.difference) > width:
            what = (
                f"known of {at.control.value:.1%} of the control's rows and {at.treatment.value:.1%} of the treatment's; "
                "set compare-variants.until to a time of which all is known"
            )
            yield Finding(rule="known-unequally", where="outcomes", what=what)
