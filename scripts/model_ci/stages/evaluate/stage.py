"""Evaluate: challenger and champion on the same held-out rows, and the gates' verdict."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from model_ci import judgement, model, registry
from model_ci.config import Config
from model_ci.errors import ServiceError
from model_ci.gates import quality
from model_ci.judgement import Side
from model_ci.run import Result, Run

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.record_types import Artifact


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The model's files, the held-out rows, the gates, and who is champion."""
    train = run.section("train")
    return {
        "model": train["model"]["files"] if train else None,
        "data": train["data"] if train else None,
        "evaluate section": config.values["evaluate"],
        "positive": config.model.positive,
        "champion": judgement.champion_state(config, run, "evaluate"),
        "measured for monitor": _for_monitor(config),
        **_today(config),
    }


def check(config: Config) -> None:
    """Find metrics that do not exist and gates that contradict themselves."""
    model.process.start()
    judgement.metrics(config)
    judgement.metrics(judgement.monitored(config), "monitor.quality")


def run(config: Config, run: Run) -> Result:
    """Judge the run's model; the verdict is failed unless every gate holds."""
    from model_ci.data import table

    state = judgement.champion_state(config, run, "evaluate")
    data = table.load(config.data, root=config.root)
    run.require("train", wanted_by="evaluate")
    run.require_data("train", data.version.sha256, "evaluate")
    challenger = judgement.ask(config, run, data)
    with registry.open_registry(config, config.root, in_ci=run.in_ci) as store:
        try:
            section = judgement.judge(config, run, data, challenger, store, store.champion())
        except ServiceError as error:
            if not run.in_pull_request:
                raise
            section = judgement.judge_unread(config, run, data, challenger, store, str(error))
    verdict = section.pop("verdict")
    left = _leave_quality(config, run, challenger, data.holdout)
    return Result(section={**section, "quality": left, "store_state": state}, verdict=verdict)


def _leave_quality(config: Config, run: Run, asked: Side, rows: "pd.DataFrame") -> "Artifact":
    """Leave what the model is worth on rows that it did not learn from, by all that evaluate and monitor judge by."""
    later = judgement.monitored(config)
    metrics = {**judgement.metrics(config), **judgement.metrics(later, "monitor.quality")}
    gates = [*config.evaluate.gates, *later.evaluate.gates]
    measured = judgement.quality(config, rows, asked, gates, metrics)
    with run.new_folder(quality.FOLDER) as folder:
        (folder / quality.FILE).write_bytes(measured.to_bytes())
        return {"folder": quality.FOLDER, "files": model.hash_files(folder)}


def _for_monitor(config: Config) -> Sequence[object]:
    """Name what monitor judges by and evaluate therefore measures; its limits may change without that."""
    judged = config.monitor.quality
    sliced = [[g.metric, g.columns, g.bins, g.min_rows] for g in judged.gates if g.by]
    return [*sorted({*judged.metrics, *(g.metric for g in judged.gates)}), *sliced]


def _today(config: Config) -> Mapping[str, str]:
    """Let a verdict on the data's age hold for the day that it was given on."""
    aged = any(gate.metric == "data_age_days" for gate in config.evaluate.gates)
    return {"day": datetime.now(UTC).date().isoformat()} if aged and not config.data.until else {}
