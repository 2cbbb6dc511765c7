"""Train: the user's entry point or command makes a model, which is saved, hashed and probed."""

import json
import math
import os
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_ci import entrypoint, judgement, model, registry
from model_ci.config import Config
from model_ci.data import source
from model_ci.errors import UserCodeError
from model_ci.profile import profile
from model_ci.run import Result, Run
from model_ci.stages.train import predecessor, selection
from model_ci.stages.train.starting_point import StartingPoint

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.data.table import Table


def inputs(config: Config, run: Run) -> Mapping[str, Any]:
    """The data's bytes, how they are cut, and the parameters."""
    return {
        "data": source.version(source.resolve(config.data, config.root)).sha256,
        "data section": config.values["data"],
        "train section": config.values["train"],
        "task": config.model.task,
        "season": config.check_drift.seasonal,
        "champion": judgement.champion_state(config, run, "train") if predecessor.wanted(config) else None,
    }


def check(config: Config) -> None:
    """Find an entry point that cannot be imported before the data is read."""
    if config.train.entrypoint:
        entrypoint.load(config.train.entrypoint, config.root, "train.entrypoint")


def run(config: Config, run: Run) -> Result:
    """Fit on the training rows and save the model; raise UserCodeError when the user's code fails."""
    from model_ci.data import table

    data = table.load(config.data, seed=config.train.seed, root=config.root)
    run.require_data("check-data", data.version.sha256, "train")
    with predecessor.opened(config, run, data) as champion:
        chosen = selection.choose(
            config.data, data.train, predecessor.signal(config, data, champion), config.train.seed
        )
        return _fitted(config, run, replace(data, train=chosen.rows), StartingPoint(config, champion, chosen, run))


def _fitted(config: Config, run: Run, data: "Table", start: StartingPoint) -> Result:
    classes = [] if config.model.task == "regression" else sorted(set(data.train[data.target].tolist()))
    with run.new_folder(model.FOLDER) as folder:
        if config.train.entrypoint:
            predictor, hyperparameters = _by_entrypoint(config, data, folder, start)
        else:
            predictor, hyperparameters = _by_command(config, data, folder, classes, start), {}
        described = {
            "folder": model.FOLDER,
            **model.describe(folder),
            "files": model.hash_files(folder),
            "size_mb": round(model.size_mb(folder), 6),
            "features": list(predictor.columns),
            "classes": classes,
            "probe_sha256": model.probe(predictor, data.holdout),
        }
    with run.new_folder(profile.FOLDER) as folder:
        (folder / profile.FILE).write_bytes(_profile(config, data, predictor, run).to_bytes())
        profiled = {"folder": profile.FOLDER, "files": model.hash_files(folder)}
    section = {
        "data": {**data.version.as_record(), **data.as_record(), "learnt_from": start.chosen.record},
        "method": start.as_record(),
        "store_state": registry.peek(config, config.root, in_ci=run.in_ci) if predecessor.wanted(config) else None,
        "how": config.train.entrypoint or config.train.command,
        "parameters": dict(config.train.parameters),
        "hyperparameters": hyperparameters,
        "seed": config.train.seed,
        "threads": config.train.threads,
        "model": described,
        "profile": profiled,
    }
    return Result(section=section)


def _by_entrypoint(
    config: Config, data: "Table", folder: Path, start: StartingPoint
) -> tuple[model.Predictor, dict[str, Any]]:
    name, seed = str(config.train.entrypoint), config.train.seed
    function = entrypoint.load(name, config.root, "train.entrypoint")
    _seed(seed)
    offered = {
        "train": data.train,
        "features": data.features,
        "target": data.target,
        "seed": seed,
        "init_model": start.init_model(function),
    }
    estimator = entrypoint.call(function, config.train.parameters, offered, name, "train.parameters")
    fitted = start.fit(estimator, data, name)
    model.save(fitted, folder, data.train[data.features], entrypoint.sources(name, config.root))
    classes = [c.item() if hasattr(c, "item") else c for c in getattr(fitted, "classes_", [])]
    predictor = model.Predictor(model=fitted, columns=list(data.features), classes=classes)
    return predictor, _plain(fitted.get_params(deep=True))


def _by_command(
    config: Config, data: "Table", folder: Path, classes: list[Any], start: StartingPoint
) -> model.Predictor:
    given = _hand_over(config, data.train, folder.parent)
    environment = {
        **os.environ,
        "MODEL_CI_MODEL_DIR": str(folder),
        "MODEL_CI_PARAMETERS": str(given["parameters"]),
        "MODEL_CI_TRAIN_DATA": str(given["rows"]),
        "MODEL_CI_FEATURES": json.dumps(data.features),
        "MODEL_CI_TARGET": data.target,
        "MODEL_CI_SEED": str(config.train.seed),
        "MODEL_CI_INIT_MODEL": start.init_folder(),
    }
    try:
        entrypoint.run_command(str(config.train.command), config.root, environment, config.train.timeout_s)
    finally:
        for file in given.values():
            file.unlink(missing_ok=True)
    if not (folder / "MLmodel").is_file():
        raise UserCodeError(
            "train.command: succeeded but left no MLflow model; save one into the folder $MODEL_CI_MODEL_DIR itself, "
            'for example by mlflow.sklearn.save_model(model, os.environ["MODEL_CI_MODEL_DIR"])'
        )
    return model.Predictor.load(folder, model.hash_files(folder), classes, data.features)


def _profile(config: Config, data: "Table", predictor: model.Predictor, run: Run) -> profile.Profile:
    """Count the training rows, and the model's answers on rows that it did not learn from."""
    from model_ci.profile import build

    rows = data.holdout.iloc[:: -(-len(data.holdout) // build.ANSWERED_ROWS)]
    said = predictor.outputs(rows, data.target, config.model.task)
    classes = [] if config.model.task == "regression" else list(predictor.classes)
    answers: dict[str, Any] = {build.PREDICTION: said.labels}
    if classes:
        named = [*map(str, classes), None]
        answers[build.PREDICTION] = [named[int(label)] for label in said.labels]
        if said.probabilities is not None:
            answers |= {build.probability(name): said.probabilities[:, i] for i, name in enumerate(named[:-1])}
    asked = build.Asked(
        features=data.features,
        target=data.target,
        classes=classes,
        time=config.data.time_column,
        season=config.check_drift.seasonal,
        made={"run_id": run.id, "data_sha256": data.version.sha256, "classes": [str(c) for c in classes]},
    )
    return build.build(data.train, answers, asked)


def _hand_over(config: Config, rows: "pd.DataFrame", folder: Path) -> dict[str, Path]:
    given = {"parameters": folder / "parameters.json", "rows": folder / "train.parquet"}
    given["parameters"].write_text(json.dumps(dict(config.train.parameters)), encoding="utf-8")
    rows.to_parquet(given["rows"], index=False)
    return given


def _seed(seed: int) -> None:
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the hyperparameters that are values; nested estimators show as their own parameters anyway."""
    values = {k: v for k, v in sorted(parameters.items()) if v is None or isinstance(v, (str, int, float, bool))}
    return {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
