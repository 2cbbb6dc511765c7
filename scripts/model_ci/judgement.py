"""Challenger and champion on the same rows, judged by the gates."""

import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci import entrypoint, model
from model_ci.config import Config
from model_ci.errors import ConfigError, ServiceError, UserCodeError
from model_ci.gates import gate
from model_ci.gates.metrics import MEASURED, Metric, Scores, measure, resolve
from model_ci.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.data.table import Table
    from model_ci.registry import Registry, Version

_LATENCY_CALLS: Final = 30


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
        better = found[g.metric].greater_is_better if g.metric in found else False if g.metric in MEASURED else None
        if better is True and g.max_rise is not None:
            wrong.append(f"evaluate.gates[{i}].max_rise: a higher {g.metric} is better; use max_drop")
        if better is False and g.max_drop is not None:
            wrong.append(f"evaluate.gates[{i}].max_drop: a lower {g.metric} is better; use max_rise")
    if wrong:
        raise ConfigError(*wrong)
    return found


def judge(config: Config, run: Run, data: "Table", registry: "Registry", champion: "Version | None") -> dict[str, Any]:
    """Score the run's model and the champion on the holdout and judge the gates; return the section, verdict included."""
    wanted = metrics(config)
    rows = len(data.holdout)
    trained = run.require("train", wanted_by="evaluate")["model"]
    challenger = _score(config, _challenger(run, trained, data), run.folder / trained["folder"], data.holdout, wanted)
    against = _score_champion(config, champion, registry, data, wanted) if champion else None
    outcomes = gate.judge(config.evaluate.gates, challenger, against)
    verdict, why = gate.verdict(outcomes)
    if rows < config.evaluate.min_rows:
        verdict, why = (
            "failed",
            f"too little data to judge on: the holdout has {rows} rows, {config.evaluate.min_rows} are needed",
        )
    return {
        "verdict": verdict,
        "why": why,
        "rows": rows,
        "champion": {"version": champion.number, "run_id": champion.run_id} if champion else None,
        "metrics": _table(wanted, challenger, against),
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


def _score(
    config: Config, predictor: model.Predictor, folder: Path, rows: "pd.DataFrame", wanted: Mapping[str, Metric]
) -> Scores:
    with entrypoint.told_as_theirs("evaluate: asking the model failed"):
        outputs = predictor.outputs(rows, config.data.target, config.model.task)
    scores = measure(wanted, outputs)
    named = {g.metric for g in config.evaluate.gates} | set(config.evaluate.metrics)
    more = {"latency_ms": lambda: _latency_ms(predictor, rows), "size_mb": lambda: model.size_mb(folder)}
    return replace(scores, values={**scores.values, **{name: more[name]() for name in MEASURED if name in named}})


def _score_champion(
    config: Config, champion: "Version", registry: "Registry", data: "Table", wanted: Mapping[str, Metric]
) -> Scores:
    """Score the champion; one that cannot be asked any more has no values, so that nothing passes against it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = registry.download(champion, Path(scratch))
        try:
            files = model.hash_files(folder)
            predictor = model.Predictor.load(folder, files, _classes(data, config), data.features)
            return _score(config, predictor, folder, data.holdout, wanted)
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever stops it, it cannot be compared with
            reason = f"cannot be asked: {error}".splitlines()[0]
            names = {g.metric for g in config.evaluate.gates} | set(wanted)
            return Scores(values=dict.fromkeys(names), reasons=dict.fromkeys(names, reason))


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
