"""Train: the user's entry point or command makes a model, which is saved, hashed and probed."""

import inspect
import json
import math
import os
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_ci import entrypoint, judgement, model, registry
from model_ci.config import Config
from model_ci.data import source
from model_ci.errors import UserCodeError
from model_ci.model import saved
from model_ci.origin import training_rows
from model_ci.origin.training_rows import TrainingRows
from model_ci.profile import build, profile
from model_ci.run import Result, Run
from model_ci.serving import classes as naming
from model_ci.stages.train import predecessor, selection
from model_ci.stages.train.starting_point import StartingPoint

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.data.table import Table
    from model_ci.types import JSONObject, Label, Series


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The data's bytes, how they are cut, and the parameters."""
    return {
        "data": source.version(source.resolve(config.data, config.root)).sha256,
        "data section": config.values["data"],
        "train section": config.values["train"],
        "task": config.model.task,
        "season": config.check_drift.seasonal,
        "champion": judgement.champion_state(config, run, "train") if predecessor.needed(config) else None,
    }


def check(config: Config) -> None:
    """Find an entry point that cannot be imported before the data is read."""
    model.process.start(entrypoint.libraries(config.train.entrypoint, config.root))
    if config.train.entrypoint:
        entrypoint.load(config.train.entrypoint, config.root, "train.entrypoint")


def run(config: Config, run: Run) -> Result:
    """Fit on the training rows and save the model; raise UserCodeError when the user's code fails."""
    from model_ci.data import table

    data = table.load(config.data, root=config.root)
    run.require_data("check-data", data.version.sha256, "train")
    model.classes(config, data.train)
    with predecessor.opened(config, run, data) as champion:
        chosen = selection.choose(
            config.data, data.train, predecessor.signal(config, data, champion), config.train.seed
        )
        return _fitted(config, run, replace(data, train=chosen.rows), StartingPoint(config, champion, chosen, run))


def _fitted(config: Config, run: Run, data: "Table", start: StartingPoint) -> Result:
    classes = model.classes(config, data.train)
    with ExitStack() as stack:
        folder = stack.enter_context(run.new_folder(model.FOLDER))
        if config.train.entrypoint:
            predictor, hyperparameters = _by_entrypoint(config, data, folder, start)
        else:
            _by_command(config, data, folder, start)
            stack.enter_context(model.own_code.space(saved.code_folder(folder)))
            with entrypoint.told_as_theirs("train: loading the model failed"):
                predictor = model.load(folder, config.model.positive, classes, data.features)
            hyperparameters = {}
        rows = data.holdout.iloc[:: -(-len(data.holdout) // build.ANSWERED_ROWS)]
        with entrypoint.told_as_theirs("train: asking the model failed"):
            answers = predictor.answers(rows)
            probed = rows[list(predictor.columns)].iloc[_probed(rows[data.target], answers, predictor.classes)]
            probe_answers = predictor.answers(probed)
        known = [c.item() if hasattr(c, "item") else c for c in predictor.classes]
        described = {
            "folder": model.FOLDER,
            **model.describe(folder),
            "probe_sha256": model.probe.write(folder, probed, probe_answers, known),
            "files": model.hash_files(folder),
            "size_mb": round(model.size_mb(folder), 6),
            "features": list(predictor.columns),
            "classes": known,
        }
    with run.new_folder(profile.FOLDER) as folder:
        (folder / profile.FILE).write_bytes(_profile(config, data, answers, known, run).to_bytes())
        profiled = {"folder": profile.FOLDER, "files": model.hash_files(folder)}
    learnt = TrainingRows.of(
        data.train, data.identity, declared=config.data.holdout.key is not None, before=start.training_rows
    )
    with run.new_folder(training_rows.FOLDER) as folder:
        learnt.write(folder)
        recognized = {"folder": training_rows.FOLDER, "files": model.hash_files(folder), **learnt.as_record()}
    section = {
        "data": {**data.version.as_record(), **data.as_record(), "learnt_from": start.chosen.record},
        "method": start.as_record(),
        "store_state": registry.peek(config, config.root, in_ci=run.in_ci) if predecessor.needed(config) else None,
        "how": config.train.entrypoint or config.train.command,
        "parameters": dict(config.train.parameters),
        "hyperparameters": hyperparameters,
        "seed": config.train.seed,
        "threads": config.train.threads,
        "model": described,
        "profile": profiled,
        "training_rows": recognized,
    }
    return Result(section=section)


def _by_entrypoint(
    config: Config, data: "Table", folder: Path, start: StartingPoint
) -> "tuple[model.Predictor, JSONObject]":
    name, seed = str(config.train.entrypoint), config.train.seed
    function = entrypoint.load(name, config.root, "train.entrypoint")
    _seed(seed)
    offered = {
        "train": data.train.copy() if "train" in inspect.signature(function).parameters else None,
        "features": data.features,
        "target": data.target,
        "seed": seed,
        "init_model": start.init_model(function),
    }
    estimator = entrypoint.call(function, config.train.parameters, offered, name, "train.parameters")
    fitted = start.fit(estimator, data, name)
    code = model.own_code.modules([name.partition(":")[0], *model.types_of(fitted)], config.root)
    model.save(fitted, folder, data.train[data.features], code)
    classes = [c.item() if hasattr(c, "item") else c for c in getattr(fitted, "classes_", [])]
    predictor = model.Predictor(
        model=fitted, columns=list(data.features), classes=classes, positive=config.model.positive
    )
    return predictor, _plain(fitted.get_params(deep=True))


def _by_command(config: Config, data: "Table", folder: Path, start: StartingPoint) -> None:
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


def _probed(truth: "Series", answers: model.Answers, classes: "Sequence[Label]") -> list[int]:
    """Choose rows for the probe, spread over the classes that are true and those that are predicted."""
    if not classes:
        return model.probe.spread([None] * len(truth), model.probe.ROWS)
    named = [[naming.name(value) for value in values] for values in (truth, answers.labels)]
    return model.probe.spread([*zip(*named, strict=True)], model.probe.ROWS)


def _profile(
    config: Config, data: "Table", answered: model.Answers, known: "Sequence[Label]", run: Run
) -> profile.Profile:
    """Count the training rows, and the model's answers on rows that it did not learn from."""
    classes = [] if config.model.task == "regression" else list(known)
    names = [str(naming.name(c)) for c in classes]
    answers: dict[str, Any] = {
        build.PREDICTION: [naming.name(label) for label in answered.labels] if classes else answered.labels
    }
    if answered.probabilities is not None:
        answers |= {build.probability(name): answered.probabilities[:, i] for i, name in enumerate(names)}
    asked = build.Asked(
        features=data.features,
        target=data.target,
        classes=classes,
        time=config.data.time_column,
        season=config.check_drift.seasonal,
        made={"run_id": run.id, "data_sha256": data.version.sha256, "classes": names},
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
