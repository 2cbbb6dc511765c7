"""Evaluate: challenger and champion on the same held-out rows, and the gates' verdict."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from model_ci import judgement, registry
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.run import Result, Run


def inputs(config: Config, run: Run) -> Mapping[str, Any]:
    """The model's files, the held-out rows, the gates, and who is champion."""
    train = run.section("train") or {}
    return {
        "model": train.get("model", {}).get("files"),
        "data": train.get("data"),
        "evaluate section": config.values["evaluate"],
        "champion": judgement.champion_state(config, run, "evaluate"),
        **_today(config),
    }


def check(config: Config) -> None:
    """Find metrics that do not exist and gates that contradict themselves."""
    judgement.metrics(config)


def run(config: Config, run: Run) -> Result:
    """Judge the run's model; the verdict is failed unless every gate holds."""
    from model_ci.data import table

    state = judgement.champion_state(config, run, "evaluate")
    data = table.load(config.data, seed=config.train.seed, root=config.root)
    trained = run.require("train", wanted_by="evaluate")
    if trained["data"]["sha256"] != data.version.sha256:
        raise ConfigError(f"evaluate: the data changed since run {run.id} trained on it; run `model-ci train` again")
    with registry.open_registry(config, config.root, in_ci=run.in_ci) as store:
        section = judgement.judge(config, run, data, store, store.champion())
    verdict = section.pop("verdict")
    return Result(section={**section, "store_state": state}, verdict=verdict)


def _today(config: Config) -> Mapping[str, str]:
    """Let a verdict on the data's age hold for the day that it was given on."""
    aged = any(gate.metric == "data_age_days" for gate in config.evaluate.gates)
    return {"day": datetime.now(UTC).date().isoformat()} if aged and not config.data.until else {}
