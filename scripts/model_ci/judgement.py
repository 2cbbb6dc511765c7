"""Challenger and champion on the same rows, judged by the gates."""

import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci import entrypoint, model
from model_ci.config import Config
from model_ci.data import times
from model_ci.errors import ConfigError, UserCodeError
from model_ci.gates import gate
from model_ci.gates.comparison import Resampling, differences
from model_ci.gates.metrics import MEASURED, Metric, Outputs, Scores, measure, resolve
from model_ci.run import Run

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from model_ci.data.table import Table
    from model_ci.registry import Registry, Version

_LATENCY_CALLS: Final = 30
_FEWEST_BLOCKS: Final = 20


def metrics(config: Config) -> dict[str, Metric]:
    """Find every metric that the gates and the list of metrics name.

    Raises ConfigError for names that the task does not have, and for gates that forbid a model to get better.
    """
    found: dict[str, Metric] = {}
    wrong: list[str] = []
    for name in dict.fromkeys([*(g.metric for g in config.evaluate.gates), *config.evaluate.metrics]):
        if name not in MEASURED:
            try:
                found[name] = resolve(name, config.model.task, lambda n: entrypoint.load(n, config.root, "evaluate"))
            except ConfigError as error:
                wrong += error.problems
    for i, g in enumerate(config.evaluate.gates):
        better = _greater_is_better(found, g.metric)
        here = f"evaluate.gates[{i}]"
        if better is True and g.max_rise is not None:
            wrong.append(f"{here}.max_rise: a higher {g.metric} is better; use max_drop")
        if better is False and g.max_drop is not None:
            wrong.append(f"{here}.max_drop: a lower {g.metric} is better; use max_rise")
        if better is None and g.min_gain is not None and g.metric in found:
            wrong.append(f"{here}.min_gain: which way {g.metric} is better is not known; use max_drop or max_rise")
    if wrong:
        raise ConfigError(*wrong)
    return found


def _greater_is_better(found: Mapping[str, Metric], name: str) -> bool | None:
    if name in MEASURED:
        return False
    return found[name].greater_is_better if name in found else None


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One of the two models: its scores, and its outputs where it could be asked."""

    scores: Scores
    outputs: Outputs | None


def judge(config: Config, run: Run, data: "Table", registry: "Registry", champion: "Version | None") -> dict[str, Any]:
    """Score the run's model and the champion on the holdout and judge the gates; return the section, verdict included."""
    wanted = metrics(config)
    rows = len(data.holdout)
    trained = run.require("train", wanted_by="evaluate")["model"]
    challenger = _ask(config, _challenger(run, trained, data), run.folder / trained["folder"], data.holdout, wanted)
    against = _ask_champion(config, champion, registry, data, wanted) if champion else None
    compared = _compare(config, data, wanted, challenger.outputs, against.outputs) if against else None
    lower = [name for name in (*wanted, *MEASURED) if _greater_is_better(wanted, name) is False]
    theirs = against.scores if against else None
    outcomes = gate.judge(config.evaluate.gates, challenger.scores, theirs, compared, lower)
    verdict, why = gate.verdict(outcomes, inconclusive=config.evaluate.uncertainty.inconclusive)
    if rows < config.evaluate.min_rows:
        needed = config.evaluate.min_rows
        verdict, why = "failed", f"too little data to judge on: the holdout has {rows} rows, {needed} are needed"
    return {
        "verdict": verdict,
        "why": why,
        "rows": rows,
        "champion": {"version": champion.number, "run_id": champion.run_id} if champion else None,
        "comparison": _described(config, compared),
        "metrics": _table(wanted, challenger.scores, theirs),
        "gates": [outcome.as_record() for outcome in outcomes],
    }


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
) -> _Side:
    with entrypoint.told_as_theirs("evaluate: asking the model failed"):
        outputs = predictor.outputs(rows, config.data.target, config.model.task)
    scores = measure(wanted, outputs)
    named = {g.metric for g in config.evaluate.gates} | set(config.evaluate.metrics)
    values = dict(scores.values)
    if "latency_ms" in named:
        values["latency_ms"] = _latency_ms(predictor, rows)
    if "size_mb" in named:
        values["size_mb"] = model.size_mb(folder)
    return _Side(scores=replace(scores, values=values), outputs=outputs)


def _ask_champion(
    config: Config, champion: "Version", registry: "Registry", data: "Table", wanted: Mapping[str, Metric]
) -> _Side:
    """Score the champion; one that cannot be asked any more has no values, so that nothing passes against it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = registry.download(champion, Path(scratch))
        try:
            files = model.hash_files(folder)
            predictor = model.Predictor.load(folder, files, _classes(data, config), data.features)
            return _ask(config, predictor, folder, data.holdout, wanted)
        except Exception as error:  # noqa: BLE001 - whatever stops it, it cannot be compared with
            reason = f"cannot be asked: {error}".splitlines()[0]
            names = [*dict.fromkeys([*(g.metric for g in config.evaluate.gates), *wanted])]
            scores = Scores(values=dict.fromkeys(names), reasons=dict.fromkeys(names, reason))
            return _Side(scores=scores, outputs=None)


def _compare(
    config: Config, data: "Table", wanted: Mapping[str, Metric], challenger: Outputs | None, champion: Outputs | None
) -> gate.Comparisons:
    """Resample the metrics that a gate compares."""
    sure = config.evaluate.uncertainty
    compared = {g.metric for g in config.evaluate.gates if any(getattr(g, c) is not None for c in gate.RELATIVE)}
    named = {name: metric for name, metric in wanted.items() if name in compared}
    blocks = _blocks(config, data)
    plan = Resampling(resamples=sure.resamples, seed=sure.seed, blocks=blocks)
    found = differences(named, challenger, champion, plan) if challenger and champion and named else {}
    return gate.Comparisons(differences=found, rows=len(data.holdout), confidence=sure.confidence, blocks=plan.many)


def _blocks(config: Config, data: "Table") -> "NDArray[Any] | None":
    """Number the block of each held-out row; raise ConfigError when there are too few blocks to draw from."""
    import numpy as np

    sure = config.evaluate.uncertainty
    if sure.block_column:
        key = "block_column"
        if sure.block_column not in data.holdout.columns:
            columns = ", ".join(data.holdout.columns)
            raise ConfigError(
                f"evaluate.uncertainty.block_column: no column {sure.block_column!r}; there are {columns}"
            )
        values = data.holdout[sure.block_column].astype(str).to_numpy()
    elif sure.block_duration:
        key = "block_duration"
        values = _spans(data.holdout[str(config.data.time_column)], sure.block_duration)
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


def _described(config: Config, compared: gate.Comparisons | None) -> dict[str, Any] | None:
    if compared is None:
        return None
    sure = config.evaluate.uncertainty
    return {"resamples": sure.resamples, "confidence": sure.confidence, "seed": sure.seed, "blocks": compared.blocks}


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
