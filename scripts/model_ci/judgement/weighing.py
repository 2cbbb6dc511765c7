"""What two models said of the same rows, judged by all gates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from model_ci import entrypoint
from model_ci.config import Config, Gate
from model_ci.errors import UserCodeError
from model_ci.gates import gate, own, sliced, slices
from model_ci.gates.comparison import Resampling, differences
from model_ci.gates.estimate import Estimate
from model_ci.gates.fairness import FAIRNESS
from model_ci.gates.fitness import one_class
from model_ci.gates.metrics import MEASURED, Metric, predicted
from model_ci.gates.outputs import Outputs, Scores, read_only
from model_ci.gates.plausibility import share_in_order
from model_ci.gates.quality import RESAMPLES, Quality
from model_ci.gates.quality import measure as measure_quality
from model_ci.gates.reading import read, read_all, whole
from model_ci.judgement.blocks import blocks
from model_ci.judgement.named import greater_is_better
from model_ci.judgement.sides import Side
from model_ci.terms import State, Verdict

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.record_types import EvaluateComparison, EvaluateMetric


_FEWEST_SUSPECTED: Final = 50  # held-out rows


def quality(
    config: Config, rows: "pd.DataFrame", asked: Side, gates: Sequence[Gate], metrics: Mapping[str, Metric]
) -> Quality:
    """Measure what the gates and metrics name, so that a later check can hold the model to it."""
    sure = config.evaluate.uncertainty
    plan = _plan(config, rows, RESAMPLES)
    figures = measure_quality(metrics, gates, rows, asked.outputs, plan, sure.confidence) if asked.outputs else []
    return Quality(figures=figures, made={"rows": len(rows), "confidence": sure.confidence})


def weigh(  # noqa: PLR0913 - both models, and what they are judged by
    config: Config, rows: "pd.DataFrame", metrics: Mapping[str, Metric], challenger: Side, champion: Side | None,
    *, held_out: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Judge what two models said of the same rows by all gates; return the verdict and what it rests on.

    Rows that were `held_out` must have several classes, and a model must not be too good on them.
    """
    meaningless = _one_class(config, challenger) if held_out else None
    if meaningless:
        challenger = _without_values(metrics, challenger, meaningless)
    enough = len(rows) >= config.evaluate.min_rows
    by_slices = any(g.by for g in config.evaluate.gates)
    sure = config.evaluate.uncertainty
    plan = _plan(config, rows, sure.resamples)
    compared = _compare(config, metrics, challenger, champion, plan) if champion and enough else None
    lower = [name for name in (*metrics, *MEASURED, *FAIRNESS) if greater_is_better(metrics, name) is False]
    theirs = champion.scores if champion else None
    outcomes = gate.judge(
        config.evaluate.gates, challenger.scores, theirs, compared, lower,
        sliced=_sliced(config, rows, metrics, challenger, champion, plan, lower) if enough else _unsliced(config, lower),
        confidence=sure.confidence, absolute=_absolute(config, metrics, challenger, plan) if enough else None,
    )  # fmt: skip
    if meaningless:
        outcomes = [_failed(o, meaningless) if o.by or o.metric in metrics else o for o in outcomes]
    outcomes += [_own(name, config, rows, challenger, champion) for name in config.evaluate.own_gates]
    verdict, why = gate.verdict(outcomes, inconclusive=sure.inconclusive)
    if not enough:
        needed = config.evaluate.min_rows
        verdict = Verdict.FAILED
        why = f"too little data to judge on: the holdout has {len(rows)} rows, {needed} are needed"
    suspicious = _too_good(config, challenger) if held_out and enough else None
    if suspicious and suspicious["share"] >= suspicious["limit"]:
        verdict, why = Verdict.FAILED, f"too good to be true: {_of_pairs(suspicious)}; {why}"
    return {
        "verdict": verdict,
        "why": why,
        "rows": len(rows),
        "too_good": suspicious,
        "comparison": _described(config, plan) if compared or (enough and by_slices) else None,
        "metrics": _table(metrics, challenger.scores, theirs),
        "gates": [outcome.as_record() for outcome in outcomes],
    }


def _one_class(config: Config, side: Side) -> str | None:
    return None if side.outputs is None or config.model.task == "regression" else one_class(side.outputs)


def _without_values(metrics: Mapping[str, Metric], side: Side, reason: str) -> Side:
    """Take the values of scikit-learn's metrics away; what a metric of the user's own means, only they know."""
    names = [name for name in metrics if ":" not in name]
    scores = side.scores
    values, reasons = {**scores.values, **dict.fromkeys(names)}, {**scores.reasons, **dict.fromkeys(names, reason)}
    return replace(side, scores=replace(scores, values=values, reasons=reasons))


def _failed(outcome: gate.Outcome, reason: str) -> gate.Outcome:
    if ":" in outcome.metric:
        return outcome
    reason = f"{outcome.metric} {reason}; what is not there does not pass"
    return replace(
        outcome, state=State.FAILED, reason=reason, challenger=None, difference=None, interval=None, comparison=None,
        chance=None, slices=(),
    )  # fmt: skip


def _too_good(config: Config, side: Side) -> dict[str, float] | None:
    """Measure how many pairs of rows the model puts in the right order, where the configuration limits that.

    On few rows an honest model may be right by chance.
    """
    limit = config.evaluate.too_good
    if limit is None or side.outputs is None or len(side.outputs.truth) < _FEWEST_SUSPECTED:
        return None
    share = share_in_order(side.outputs, config.model.task)
    return None if share is None else {"share": share, "limit": limit}


def _of_pairs(suspicious: Mapping[str, float]) -> str:
    share = math.floor(suspicious["share"] * 1e4) / 1e4
    return (
        f"the model puts {share:.2%} of the pairs of held-out rows in the right order, and evaluate.too_good is "
        f"{suspicious['limit']:g}. Some columns give away the target: exclude them with data.exclude. "
        "If you can explain the model, set evaluate.too_good to null"
    )


def _sliced(  # noqa: PLR0913, PLR0917 - what is judged, and all that it is judged on
    config: Config, rows: "pd.DataFrame", metrics: Mapping[str, Metric], challenger: Side, champion: Side | None,
    plan: Resampling, lower: Sequence[str],
) -> dict[Gate, list[gate.Outcome]]:  # fmt: skip
    sides = sliced.Sides(
        challenger=challenger.outputs,
        champion=(champion.quality or champion.outputs) if champion else None,
        first=champion is None,
        plan=plan,
        confidence=config.evaluate.uncertainty.confidence,
        incomparable=champion.scores.incomparable if champion else None,
        bound=config.evaluate.uncertainty.absolute == "bound",
    )
    by_slices = [g for g in config.evaluate.gates if g.by]
    return {
        g: sliced.judge(g, metrics.get(g.metric), slices.cut(rows, g.columns, g.bins), sides, lower) for g in by_slices
    }


def _unsliced(config: Config, lower: Sequence[str]) -> dict[Gate, list[gate.Outcome]]:
    """Fail the gates by slices where there are too few rows to slice."""
    plan = Resampling(resamples=1, seed=0)
    sides = sliced.Sides(challenger=None, champion=None, first=True, plan=plan, confidence=0.5)
    return {g: sliced.judge(g, None, [], sides, lower) for g in config.evaluate.gates if g.by}


def _own(name: str, config: Config, rows: "pd.DataFrame", challenger: Side, champion: Side | None) -> gate.Outcome:
    """Ask the user's own function whether the model will do; whatever it raises is no yes."""
    function = entrypoint.load(name, config.root, "evaluate.own_gates")
    if challenger.outputs is None:
        return own.refused(name, "the model cannot be asked")
    offered = {
        "truth": read_only(challenger.outputs.truth),
        "predicted": predicted(challenger.outputs, config.model.task),
        "rows": rows.copy(),
        "champion": predicted(champion.outputs, config.model.task) if champion and champion.outputs else None,
        "metrics": dict(challenger.scores.values),
    }
    try:
        return own.judge(name, entrypoint.call(function, {}, offered, name, "evaluate.own_gates"))
    except UserCodeError as error:
        reason = error.problems[0].removeprefix(f"train: {name} ").removesuffix("; mend your code")
        return own.refused(name, reason)


def _compare(
    config: Config, metrics: Mapping[str, Metric], challenger: Side, champion: Side, plan: Resampling
) -> gate.Comparisons:
    """Resample the metrics that a gate compares on all rows."""
    plain = [g for g in config.evaluate.gates if not g.by]
    compared = {g.metric for g in plain if g.compares}
    named = {name: metric for name, metric in metrics.items() if name in compared}
    confidence = config.evaluate.uncertainty.confidence
    if champion.quality:
        compared_metrics = _from_quality(named, challenger.outputs, champion.quality, plan)
        return gate.Comparisons(differences=compared_metrics, rows=None, confidence=confidence)
    mine, theirs = challenger.outputs, champion.outputs
    compared_metrics = differences(named, mine, theirs, plan) if mine and theirs and named else {}
    rows = len(mine.truth) if mine else 0
    return gate.Comparisons(differences=compared_metrics, rows=rows, confidence=confidence, blocks=plan.many)


def _absolute(config: Config, wanted: Mapping[str, Metric], challenger: Side, plan: Resampling) -> gate.Absolute | None:
    """Estimate the metrics that a gate holds to `min` or `max` on all rows; the model may be one that cannot be asked."""
    if challenger.outputs is None:
        return None
    held = [g.metric for g in config.evaluate.gates if not g.by and not all(c.compares for c in g.conditions)]
    named = [wanted[name] for name in dict.fromkeys(held) if name in wanted]
    readings = read_all(named, challenger.outputs, [whole(len(challenger.outputs.truth))], plan)
    sure = config.evaluate.uncertainty
    return gate.Absolute(
        estimates={reading.metric: reading.alone(0) for reading in readings},
        rows=len(challenger.outputs.truth),
        confidence=sure.confidence,
        bound=sure.absolute == "bound",
    )


def _from_quality(
    named: Mapping[str, Metric], mine: Outputs | None, theirs: Quality, plan: Resampling
) -> dict[str, Estimate]:
    all_rows = [whole(len(mine.truth) if mine else 0)]
    readings = {name: read(metric, mine, all_rows, plan) for name, metric in named.items()}
    by_metric = {name: reading.less(theirs.read(name, None, [None], plan), 0) for name, reading in readings.items()}
    return {name: difference for name, difference in by_metric.items() if difference}


def _plan(config: Config, rows: "pd.DataFrame", resamples: int) -> Resampling:
    """Say how the rows are drawn again; too few to judge on are too few for blocks."""
    drawn = blocks(config, rows) if len(rows) >= config.evaluate.min_rows else None
    return Resampling(resamples=resamples, seed=config.evaluate.uncertainty.seed, blocks=drawn)


def _described(config: Config, plan: Resampling) -> "EvaluateComparison":
    sure = config.evaluate.uncertainty
    return {"resamples": sure.resamples, "confidence": sure.confidence, "seed": sure.seed, "blocks": plan.many}


def _table(metrics: Mapping[str, Metric], challenger: Scores, champion: Scores | None) -> "dict[str, EvaluateMetric]":
    return {
        name: {
            "challenger": value,
            "champion": champion.values.get(name) if champion else None,
            "greater_is_better": metrics[name].greater_is_better if name in metrics else False,
            "problem": challenger.reasons.get(name),
        }
        for name, value in challenger.values.items()
    }
