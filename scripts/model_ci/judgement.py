"""Challenger and champion on the same rows, judged by the gates."""

import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci import entrypoint, model, registry
from model_ci.config import Config, Gate
from model_ci.data import times
from model_ci.errors import ConfigError, UserCodeError
from model_ci.gates import gate, own, sliced, slices
from model_ci.gates.comparison import Difference, Resampling, differences
from model_ci.gates.fairness import FAIRNESS
from model_ci.gates.metrics import MEASURED, Metric, measure, predicted, resolve
from model_ci.gates.outputs import Outputs, Scores
from model_ci.gates.quality import RESAMPLES, Quality
from model_ci.gates.quality import measure as measure_quality
from model_ci.gates.reading import read, whole
from model_ci.run import Run

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from model_ci.data.table import Table
    from model_ci.registry import Registry, Version

ORIGIN_TAG: Final = "model_ci.origin"
_LATENCY_CALLS: Final = 30
_FEWEST_BLOCKS: Final = 20


def champion_state(config: Config, run: Run, stage: str) -> str | None:
    """Identify the champion, so that a new one makes what `stage` said stale, but not the one this run itself became."""
    state = registry.peek(config, config.root, in_ci=run.in_ci)
    said, registered = run.section(stage), run.section("register")
    if said and registered and state == registered["store_state"]:
        return said["store_state"]  # type: ignore[no-any-return]
    return state


def metrics(config: Config, where: str = "evaluate") -> dict[str, Metric]:
    """Find every metric that the gates and the list of metrics name; they stand in the section `where`.

    Raises ConfigError for names that the task does not have, and for gates that forbid a model to get better.
    """
    found: dict[str, Metric] = {}
    wrong: list[str] = []
    for name in dict.fromkeys([*(g.metric for g in config.evaluate.gates), *config.evaluate.metrics]):
        if name in FAIRNESS:
            wrong += _unfit_for_fairness(config, name, where)
        elif name not in MEASURED:
            try:
                found[name] = resolve(name, config.model.task, lambda n: entrypoint.load(n, config.root, "evaluate"))
            except ConfigError as error:
                wrong += error.problems
    for i, g in enumerate(config.evaluate.gates):
        better = _greater_is_better(found, g.metric)
        here = f"{where}.gates[{i}]"
        if better is True and g.max_rise is not None:
            wrong.append(f"{here}.max_rise: a higher {g.metric} is better; use max_drop")
        if better is False and g.max_drop is not None:
            wrong.append(f"{here}.max_drop: a lower {g.metric} is better; use max_rise")
        if better is None and g.min_gain is not None and g.metric in found:
            wrong.append(f"{here}.min_gain: which way {g.metric} is better is not known; use max_drop or max_rise")
        if g.by and g.metric in MEASURED:
            wrong.append(f"{here}.by: {g.metric} is not of rows, so it has no slices; leave 'by' out")
        if g.metric == "data_age_days" and any(getattr(g, c) is not None for c in gate.RELATIVE):
            wrong.append(f"{here}: when the champion's data ended is not known; give data_age_days a max")
    for name in config.evaluate.own_gates:
        try:
            entrypoint.load(name, config.root, "evaluate.own_gates")
        except ConfigError as error:
            wrong += error.problems
    if wrong:
        raise ConfigError(*wrong)
    return found


def _unfit_for_fairness(config: Config, name: str, where: str) -> list[str]:
    if config.model.task != "binary":
        return [f"{where}: {name} is for the task binary; this is {config.model.task}"]
    wrong = []
    if name in config.evaluate.metrics:
        wrong.append(f"{where}.metrics: {name} is of slices; name it in a gate with 'by'")
    for i, g in enumerate(config.evaluate.gates):
        if g.metric == name and not g.by:
            wrong.append(f"{where}.gates[{i}]: {name} compares slices; add 'by: column'")
        unfit = [c for c in ("min", "max_drop", "min_gain", "max_gap") if getattr(g, c) is not None]
        if g.metric == name and unfit:
            wrong.append(f"{where}.gates[{i}].{unfit[0]}: {name} is a gap itself, less is better; use max or max_rise")
    return wrong


def _greater_is_better(found: Mapping[str, Metric], name: str) -> bool | None:
    if name in MEASURED or name in FAIRNESS:
        return False
    return found[name].greater_is_better if name in found else None


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two models: its scores, and its outputs where it could be asked.

    Of a champion that is not asked about the same rows, `quality` is what was measured of it on others.
    """

    scores: Scores
    outputs: Outputs | None
    quality: Quality | None = None


def judge(  # noqa: PLR0913, PLR0917 - both models, and what they are judged by
    config: Config, run: Run, data: "Table", challenger: Side, store: "Registry", champion: "Version | None"
) -> dict[str, Any]:
    """Score the champion on the holdout, too, and judge the gates; return the section, verdict included."""
    wanted = metrics(config)
    against = _ask_champion(config, champion, store, data, wanted) if champion else None
    section = weigh(config, data.holdout, wanted, challenger, against)
    return section | {
        "champion": {"version": champion.number, "run_id": champion.run_id} if champion else None,
        "changed": _changed(origin(run), champion) if champion else None,
    }


def origin(run: Run) -> dict[str, Any]:
    """Return what the run's model was made of, by name: code, data and parameters; a later model is told from it."""
    trained, code = run.require("train", wanted_by="evaluate"), run.record["code"]
    data = trained["data"]
    return {
        "code": f"{code['commit'] or 'no commit'}{' with uncommitted changes' if code['dirty'] else ''}",
        "trained by": trained["how"],
        "data": data["location"],
        "data version": data["sha256"][:16],
        "data rows": data["rows"],
        "seed": trained["seed"],
        **{f"parameter {name}": value for name, value in trained["parameters"].items()},
    }


def _changed(mine: Mapping[str, Any], champion: "Version") -> list[dict[str, Any]] | None:
    """Return in what the two were made differently; None when nobody wrote down what the champion was made of."""
    try:
        theirs = json.loads(champion.tags[ORIGIN_TAG])
    except (KeyError, ValueError):
        return None
    names = [*mine, *(name for name in theirs if name not in mine)]
    pairs = {name: (theirs.get(name), mine.get(name)) for name in names}
    return [
        {"what": name, "champion": before, "challenger": now} for name, (before, now) in pairs.items() if before != now
    ]


def ask(config: Config, run: Run, data: "Table") -> Side:
    """Ask the run's model about the holdout, and score it."""
    wanted = metrics(config)
    trained = run.require("train", wanted_by="evaluate")["model"]
    asked = _ask(config, _challenger(run, trained, data), run.folder / trained["folder"], data.holdout, wanted)
    if not _names("data_age_days", config):
        return asked
    values = {**asked.scores.values, "data_age_days": _age_days(config, data)}
    return replace(asked, scores=replace(asked.scores, values=values))


def side(wanted: Mapping[str, Metric], outputs: Outputs, measured: Mapping[str, float | None]) -> Side:
    """Score what a model said; `measured` is what is not of rows."""
    scores = measure(wanted, outputs)
    return Side(scores=replace(scores, values={**scores.values, **measured}), outputs=outputs)


def quality(
    config: Config, rows: "pd.DataFrame", asked: Side, gates: Sequence[Gate], wanted: Mapping[str, Metric]
) -> Quality:
    """Measure what the gates and metrics name, so that a later check can hold the model to it."""
    sure = config.evaluate.uncertainty
    plan = _plan(config, rows, RESAMPLES)
    figures = measure_quality(wanted, gates, rows, asked.outputs, plan, sure.confidence) if asked.outputs else []
    return Quality(figures=figures, made={"rows": len(rows), "confidence": sure.confidence})


def of_quality(known: Quality, wanted: Mapping[str, Metric]) -> Side:
    """Return a model as what was measured of it on other rows."""
    return Side(scores=known.scores([*wanted]), outputs=None, quality=known)


def weigh(
    config: Config, rows: "pd.DataFrame", wanted: Mapping[str, Metric], challenger: Side, champion: Side | None
) -> dict[str, Any]:
    """Judge what two models said of the same rows by all gates; return the verdict and what it rests on."""
    enough = len(rows) >= config.evaluate.min_rows
    by_slices = any(g.by for g in config.evaluate.gates)
    sure = config.evaluate.uncertainty
    plan = _plan(config, rows, sure.resamples)
    compared = _compare(config, wanted, challenger, champion, plan) if champion and enough else None
    lower = [name for name in (*wanted, *MEASURED, *FAIRNESS) if _greater_is_better(wanted, name) is False]
    theirs = champion.scores if champion else None
    outcomes = gate.judge(
        config.evaluate.gates, challenger.scores, theirs, compared, lower,
        sliced=_sliced(config, rows, wanted, challenger, champion, plan, lower) if enough else _unsliced(config, lower),
        confidence=sure.confidence,
    )  # fmt: skip
    outcomes += [_own(name, config, rows, challenger, champion) for name in config.evaluate.own_gates]
    verdict, why = gate.verdict(outcomes, inconclusive=sure.inconclusive)
    if not enough:
        needed = config.evaluate.min_rows
        verdict, why = "failed", f"too little data to judge on: the holdout has {len(rows)} rows, {needed} are needed"
    return {
        "verdict": verdict,
        "why": why,
        "rows": len(rows),
        "comparison": _described(config, plan) if compared or (enough and by_slices) else None,
        "metrics": _table(wanted, challenger.scores, theirs),
        "gates": [outcome.as_record() for outcome in outcomes],
    }


def _sliced(  # noqa: PLR0913, PLR0917 - what is judged, and all that it is judged on
    config: Config, rows: "pd.DataFrame", wanted: Mapping[str, Metric], challenger: Side, champion: Side | None,
    plan: Resampling, lower: Sequence[str],
) -> dict[Gate, list[gate.Outcome]]:  # fmt: skip
    sides = sliced.Sides(
        challenger=challenger.outputs,
        champion=(champion.quality or champion.outputs) if champion else None,
        first=champion is None,
        plan=plan,
        confidence=config.evaluate.uncertainty.confidence,
    )
    by_slices = [g for g in config.evaluate.gates if g.by]
    return {
        g: sliced.judge(g, wanted.get(g.metric), slices.cut(rows, g.columns, g.bins), sides, lower) for g in by_slices
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
        "truth": challenger.outputs.truth,
        "predicted": predicted(challenger.outputs, config.model.task),
        "rows": rows,
        "champion": predicted(champion.outputs, config.model.task) if champion and champion.outputs else None,
        "metrics": dict(challenger.scores.values),
    }
    try:
        return own.judge(name, entrypoint.call(function, {}, offered, name, "evaluate.own_gates"))
    except UserCodeError as error:
        said = error.problems[0].removeprefix(f"train: {name} ").removesuffix("; mend your code")
        return own.refused(name, said)


def _names(metric: str, config: Config) -> bool:
    return metric in config.evaluate.metrics or any(g.metric == metric for g in config.evaluate.gates)


def _age_days(config: Config, data: "Table") -> float:
    """Return the days from the newest training row to now, or to `data.until` where a past time is run again."""
    import pandas as pd

    column = data.train[str(config.data.time_column)]
    if column.dtype.kind != "M" and not isinstance(column.iloc[0], date):
        raise ConfigError(f"evaluate: data_age_days: {column.name} counts in numbers without a unit; leave it out")
    newest = pd.Timestamp(column.max())
    now = pd.Timestamp(config.data.until) if config.data.until else pd.Timestamp.now(tz="UTC")
    age = (now if now.tzinfo else now.tz_localize("UTC")) - (newest if newest.tzinfo else newest.tz_localize("UTC"))
    return float(age.total_seconds() / 86400)


def _challenger(run: Run, trained: Mapping[str, Any], data: "Table") -> model.Predictor:
    predictor = model.Predictor.load(
        run.folder / trained["folder"], trained["files"], trained["classes"], trained["features"]
    )
    if model.probe(predictor, data.holdout) != trained["probe_sha256"]:
        raise UserCodeError(
            "evaluate: the model as saved predicts otherwise than it did when it was trained; "
            "make its predictions repeatable and its state part of what is saved"
        )
    return predictor


def _ask(
    config: Config, predictor: model.Predictor, folder: Path, rows: "pd.DataFrame", wanted: Mapping[str, Metric]
) -> Side:
    with entrypoint.told_as_theirs("evaluate: asking the model failed"):
        outputs = predictor.outputs(rows, config.data.target, config.model.task)
    measured = {}
    if _names("latency_ms", config):
        measured["latency_ms"] = _latency_ms(predictor, rows)
    if _names("size_mb", config):
        measured["size_mb"] = model.size_mb(folder)
    return side(wanted, outputs, measured)


def _ask_champion(
    config: Config, champion: "Version", store: "Registry", data: "Table", wanted: Mapping[str, Metric]
) -> Side:
    """Score the champion; one that cannot be asked any more has no values, so that nothing passes against it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = store.download(champion, Path(scratch))
        try:
            files = model.hash_files(folder)
            predictor = model.Predictor.load(folder, files, _classes(data, config), data.features)
            return _ask(config, predictor, folder, data.holdout, wanted)
        except Exception as error:  # noqa: BLE001 - whatever stops it, it cannot be compared with
            reason = f"cannot be asked: {error}".splitlines()[0]
            names = [*dict.fromkeys([*(g.metric for g in config.evaluate.gates), *wanted])]
            scores = Scores(values=dict.fromkeys(names), reasons=dict.fromkeys(names, reason))
            return Side(scores=scores, outputs=None)


def _compare(
    config: Config, wanted: Mapping[str, Metric], challenger: Side, champion: Side, plan: Resampling
) -> gate.Comparisons:
    """Resample the metrics that a gate compares on all rows."""
    plain = [g for g in config.evaluate.gates if not g.by]
    compared = {g.metric for g in plain if any(getattr(g, c) is not None for c in gate.RELATIVE)}
    named = {name: metric for name, metric in wanted.items() if name in compared}
    confidence = config.evaluate.uncertainty.confidence
    if champion.quality:
        found = _from_quality(named, challenger.outputs, champion.quality, plan)
        return gate.Comparisons(differences=found, rows=None, confidence=confidence)
    mine, theirs = challenger.outputs, champion.outputs
    found = differences(named, mine, theirs, plan) if mine and theirs and named else {}
    rows = len(mine.truth) if mine else 0
    return gate.Comparisons(differences=found, rows=rows, confidence=confidence, blocks=plan.many)


def _from_quality(
    named: Mapping[str, Metric], mine: Outputs | None, theirs: Quality, plan: Resampling
) -> dict[str, Difference]:
    all_rows = [whole(len(mine.truth) if mine else 0)]
    readings = {name: read(metric, mine, all_rows, plan) for name, metric in named.items()}
    found = {name: reading.less(theirs.read(name, None, [None], plan), 0) for name, reading in readings.items()}
    return {name: difference for name, difference in found.items() if difference}


def _plan(config: Config, rows: "pd.DataFrame", resamples: int) -> Resampling:
    """Say how the rows are drawn again; too few to judge on are too few for blocks."""
    blocks = _blocks(config, rows) if len(rows) >= config.evaluate.min_rows else None
    return Resampling(resamples=resamples, seed=config.evaluate.uncertainty.seed, blocks=blocks)


def _blocks(config: Config, rows: "pd.DataFrame") -> "NDArray[Any] | None":
    """Number the block of each held-out row; raise ConfigError when there are too few blocks to draw from."""
    import numpy as np

    sure = config.evaluate.uncertainty
    if sure.block_column:
        key = "block_column"
        if sure.block_column not in rows.columns:
            columns = ", ".join(rows.columns)
            raise ConfigError(
                f"evaluate.uncertainty.block_column: no column {sure.block_column!r}; there are {columns}"
            )
        values = rows[sure.block_column].astype(str).to_numpy()
    elif sure.block_duration:
        key = "block_duration"
        values = _spans(rows[str(config.data.time_column)], sure.block_duration)
    else:
        return None
    blocks = np.unique(values, return_inverse=True)[1].ravel()
    if (many := int(blocks.max()) + 1) < _FEWEST_BLOCKS:
        raise ConfigError(
            f"evaluate.uncertainty.{key}: the holdout has {many} blocks, at least {_FEWEST_BLOCKS} are needed to draw from; "
            "hold out more, or make the blocks smaller"
        )
    return blocks


def _spans(moments: "pd.Series[Any]", duration: str) -> "NDArray[Any]":
    if moments.dtype.kind != "M":
        raise ConfigError(
            f"evaluate.uncertainty.block_duration: {moments.name} counts in numbers without a unit; name a block_column"
        )
    return moments.astype("datetime64[s]").astype("int64").to_numpy() // times.seconds(duration)


def _described(config: Config, plan: Resampling) -> dict[str, Any]:
    sure = config.evaluate.uncertainty
    return {"resamples": sure.resamples, "confidence": sure.confidence, "seed": sure.seed, "blocks": plan.many}


def _classes(data: "Table", config: Config) -> list[Any]:
    return [] if config.model.task == "regression" else sorted(set(data.train[data.target].tolist()))


def _latency_ms(predictor: model.Predictor, rows: "pd.DataFrame") -> float:
    """Return the median time of one prediction of one row, in milliseconds, after one to warm up."""
    seconds = []
    for i in range(_LATENCY_CALLS + 1):
        row = rows.iloc[[i % len(rows)]]
        begin = time.perf_counter()
        predictor.predict(row)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:]) * 1000


def _table(wanted: Mapping[str, Metric], challenger: Scores, champion: Scores | None) -> dict[str, Any]:
    return {
        name: {
            "challenger": value,
            "champion": champion.values.get(name) if champion else None,
            "greater_is_better": wanted[name].greater_is_better if name in wanted else False,
            "problem": challenger.reasons.get(name),
        }
        for name, value in challenger.values.items()
    }
